import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nanoaccel.errors import SamplingError
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.sampling.processors import LogitsProcessor, logits_processors

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
    processors = logits_processors(params, prompt, ends, VOCAB)
    for token in output:
        accept(processors, token)
    row = make_row()
    wanted = expected(row, params, prompt, output, ends)
    before = row.copy()
    apply(processors, row, len(output))
    np.testing.assert_allclose(row, wanted, rtol=1e-5, atol=1e-5)
    if not processors:
        np.testing.assert_array_equal(row, before)


def apply(processors: list[LogitsProcessor], row: NDArray[np.float32], position: int) -> None:
    for processor in processors:
        processor.apply(row, position)


def accept(processors: list[LogitsProcessor], token: int) -> None:
    for processor in processors:
        processor.accept(token)


def test_apply_order_is_repetition_then_subtraction_then_bias_then_ban() -> None:
    params = SamplingParams(
        repetition_penalty=2.0, presence_penalty=1.0, logit_bias={3: 5.0, 4: 100.0}, min_tokens=5
    )
    processors = logits_processors(params, [], [4], VOCAB)
    accept(processors, 3)
    row = np.full(VOCAB, 4, np.float32)
    apply(processors, row, 1)
    assert row[3] == 4 / 2 - 1 + 5
    assert row[4] == -np.inf
    assert (np.delete(row, [3, 4]) == 4).all()


def test_apply_after_each_token_counts_it() -> None:
    processors = logits_processors(SamplingParams(frequency_penalty=0.5), [7, 7], [], VOCAB)
    for count in range(1, 200):
        accept(processors, 7)
        row = np.zeros(VOCAB, np.float32)
        apply(processors, row, count)
        assert row[7] == -0.5 * count
        assert np.count_nonzero(row) == 1


def test_apply_keeps_minus_infinity() -> None:
    processors = logits_processors(SamplingParams(repetition_penalty=1.5), [2], [], VOCAB)
    row = make_row()
    row[2] = -np.inf
    apply(processors, row, 0)
    assert row[2] == -np.inf


def test_apply_bans_end_tokens_only_before_min_tokens() -> None:
    processors = logits_processors(SamplingParams(min_tokens=2), [], [1, 5], VOCAB)
    for position, banned in ((0, True), (1, True), (2, False)):
        row = np.zeros(VOCAB, np.float32)
        apply(processors, row, position)
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
def test_logits_processors_are_only_those_needed(
    params: SamplingParams, ends: list[int], identity: bool
) -> None:
    assert (logits_processors(params, [1, 2], ends, VOCAB) == []) is identity


@pytest.mark.parametrize(
    ("params", "ends"),
    [(SamplingParams(logit_bias={VOCAB: 1.0}), []), (SamplingParams(), [VOCAB])],
)
def test_processor_refuses_tokens_the_model_has_not(
    params: SamplingParams, ends: list[int]
) -> None:
    with pytest.raises(SamplingError, match=f"{VOCAB}.*not a token"):
        logits_processors(params, [], ends, VOCAB)


def test_copies_of_processors_notice_nothing_of_each_other() -> None:
    params = SamplingParams(
        repetition_penalty=2.0, frequency_penalty=1.0, logit_bias={3: 5.0}, min_tokens=3
    )

    def rows(processors: list[LogitsProcessor], position: int) -> list[float]:
        row = np.full(VOCAB, 4, np.float32)
        apply(processors, row, position)
        return row.tolist()

    original = logits_processors(params, [1], [4], VOCAB)
    accept(original, 2)
    before = rows(original, 1)
    ahead = [processor.copy() for processor in original]
    assert rows(ahead, 1) == before
    for token in [2, *range(VOCAB)] * 20:
        accept(ahead, token)
    assert rows(original, 1) == before != rows(ahead, 3)
    accept(original, 5)
    fresh = logits_processors(params, [1], [4], VOCAB)
    for token in (2, 5):
        accept(fresh, token)
    assert rows(original, 2) == rows(fresh, 2)
