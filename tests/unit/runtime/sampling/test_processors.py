import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoaccel.errors import SamplingError
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.sampling.processors import LogitsProcessor

VOCAB = 30


def expected(
    row: np.ndarray, params: SamplingParams, prompt: list[int], output: list[int], ends: list[int]
) -> np.ndarray:
    """The formulas, token by token."""
    result = row.astype(np.float64)
    for token in range(row.size):
        if token in prompt or token in output:
            penalty = params.repetition_penalty
            result[token] *= 1 / penalty if result[token] > 0 else penalty
        count = output.count(token)
        if count:
            result[token] -= params.presence_penalty + params.frequency_penalty * count
        result[token] += params.logit_bias.get(token, 0)
        if token in ends and len(output) < params.min_tokens:
            result[token] = -np.inf
    return result


def make_row(seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(VOCAB) * 4).astype(np.float32)


tokens = st.lists(st.integers(0, VOCAB - 1), max_size=80)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    prompt=tokens,
    output=tokens,
    ends=st.lists(st.integers(0, VOCAB - 1), max_size=3),
    repetition=st.sampled_from([1.0, 0.7, 1.3]),
    presence=st.sampled_from([0.0, 0.5, -1.0]),
    frequency=st.sampled_from([0.0, 0.1, -0.3]),
    bias=st.dictionaries(st.integers(0, VOCAB - 1), st.floats(-100, 100), max_size=4),
    min_tokens=st.integers(0, 20),
)
def test_apply_matches_the_formulas(
    prompt: list[int],
    output: list[int],
    ends: list[int],
    repetition: float,
    presence: float,
    frequency: float,
    bias: dict[int, float],
    min_tokens: int,
) -> None:
    params = SamplingParams(
        repetition_penalty=repetition,
        presence_penalty=presence,
        frequency_penalty=frequency,
        logit_bias=bias,
        min_tokens=min_tokens,
    )
    processor = LogitsProcessor(params, prompt, ends, VOCAB)
    for token in output:
        processor.observe(token)
    row = make_row()
    wanted = expected(row, params, prompt, output, ends)
    before = row.copy()
    processor.apply(row, len(output))
    np.testing.assert_allclose(row, wanted, rtol=1e-5, atol=1e-5)
    if processor.is_identity:
        np.testing.assert_array_equal(row, before)


def test_apply_order_is_repetition_then_subtraction_then_bias_then_ban() -> None:
    params = SamplingParams(
        repetition_penalty=2.0, presence_penalty=1.0, logit_bias={3: 5.0, 4: 100.0}, min_tokens=5
    )
    processor = LogitsProcessor(params, [], [4], VOCAB)
    processor.observe(3)
    row = np.full(VOCAB, 4, np.float32)
    processor.apply(row, 1)
    assert row[3] == 4 / 2 - 1 + 5
    assert row[4] == -np.inf
    assert (np.delete(row, [3, 4]) == 4).all()


def test_apply_after_each_token_counts_it() -> None:
    processor = LogitsProcessor(SamplingParams(frequency_penalty=0.5), [7, 7], [], VOCAB)
    for count in range(1, 200):
        processor.observe(7)
        row = np.zeros(VOCAB, np.float32)
        processor.apply(row, count)
        assert row[7] == -0.5 * count
        assert np.count_nonzero(row) == 1


def test_apply_keeps_minus_infinity() -> None:
    processor = LogitsProcessor(SamplingParams(repetition_penalty=1.5), [2], [], VOCAB)
    row = make_row()
    row[2] = -np.inf
    processor.apply(row, 0)
    assert row[2] == -np.inf


def test_apply_bans_end_tokens_only_before_min_tokens() -> None:
    processor = LogitsProcessor(SamplingParams(min_tokens=2), [], [1, 5], VOCAB)
    for position, banned in ((0, True), (1, True), (2, False)):
        row = np.zeros(VOCAB, np.float32)
        processor.apply(row, position)
        assert np.isneginf(row).nonzero()[0].tolist() == ([1, 5] if banned else [])


@pytest.mark.parametrize(
    ("params", "ends", "identity"),
    [
        (SamplingParams(), [1], True),
        (SamplingParams(temperature=2, top_k=3, top_p=0.5, min_p=0.1), [1], True),
        (SamplingParams(min_tokens=3), [], True),
        (SamplingParams(min_tokens=3), [1], False),
        (SamplingParams(repetition_penalty=1.1), [], False),
        (SamplingParams(presence_penalty=0.1), [], False),
        (SamplingParams(frequency_penalty=0.1), [], False),
        (SamplingParams(logit_bias={1: 1.0}), [], False),
    ],
)
def test_is_identity(params: SamplingParams, ends: list[int], identity: bool) -> None:
    assert LogitsProcessor(params, [1, 2], ends, VOCAB).is_identity is identity


@pytest.mark.parametrize(
    ("params", "ends"),
    [(SamplingParams(logit_bias={VOCAB: 1.0}), []), (SamplingParams(), [VOCAB])],
)
def test_processor_refuses_tokens_the_model_has_not(
    params: SamplingParams, ends: list[int]
) -> None:
    with pytest.raises(SamplingError, match=f"{VOCAB}.*not a token"):
        LogitsProcessor(params, [], ends, VOCAB)
