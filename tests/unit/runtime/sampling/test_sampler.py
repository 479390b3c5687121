import dataclasses
import tracemalloc

import numpy as np
import pytest

from nanoaccel.errors import GenerationError, SamplingError
from nanoaccel.runtime.sampling import Sampled, Sampler, SamplingParams, SamplingSettings

VOCAB = 40


def make_row(seed: int = 0, size: int = VOCAB) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(size) * 2).astype(np.float32)


def make_sampler(
    params: SamplingParams | None = None,
    *,
    prompt: tuple[int, ...] = (),
    ends: tuple[int, ...] = (),
    seed: int = 1,
    size: int = VOCAB,
) -> Sampler:
    return Sampler(SamplingParams() if params is None else params, prompt, ends, seed, size)


def probabilities(row: np.ndarray, params: SamplingParams) -> np.ndarray:
    """What each token's share must be, by sorting the whole row."""
    chosen = SamplingSettings().under(params)
    ids = np.argsort(-row, kind="stable")
    weights = np.exp((row[ids].astype(np.float64) - row.max()) / chosen.temperature)
    if chosen.top_k:
        weights[chosen.top_k :] = 0
    shares = weights / weights.sum()
    weights[shares.cumsum() - shares >= chosen.top_p] = 0
    weights[weights < chosen.min_p] = 0
    result = np.zeros(row.size)
    result[ids] = weights / weights.sum()
    return result


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"temperature": 1.0}, VOCAB),
        ({"temperature": 0.5}, VOCAB),
        ({"temperature": 3.0}, 700),
        ({"temperature": 1.0, "top_k": 5}, VOCAB),
        ({"temperature": 1.0, "top_p": 0.8}, VOCAB),
        ({"temperature": 1.0, "min_p": 0.05}, VOCAB),
        ({"temperature": 1.3, "top_k": 12, "top_p": 0.9}, VOCAB),
        ({"temperature": 0.8, "top_k": 20, "min_p": 0.02}, VOCAB),
        ({"temperature": 0.9, "top_p": 0.95, "min_p": 0.01}, 700),
        ({"temperature": 1.1, "top_k": 30, "top_p": 0.97, "min_p": 0.03}, 2500),
    ],
)
def test_sample_frequencies_follow_the_probabilities(options: dict[str, float], size: int) -> None:
    count = 3000
    params = SamplingParams(**options)  # type: ignore[arg-type]
    row = make_row(3, size)
    wanted = probabilities(row, params) * count
    sampler = make_sampler(params, size=size)
    drawn = [sampler.sample(row, position).token_id for position in range(count)]
    got = np.bincount(drawn, minlength=size)
    assert not got[wanted == 0].any()
    rare = wanted < 5
    got = np.append(got[~rare], got[rare].sum())
    wanted = np.append(wanted[~rare], max(wanted[rare].sum(), 1e-9))
    freedom = wanted.size - 1
    statistic = float(((got - wanted) ** 2 / wanted).sum())
    assert (statistic - freedom) / (2 * freedom) ** 0.5 < 4


def test_sample_takes_the_likeliest_that_is_known_only_of_what_is_sampled() -> None:
    row, known = make_row(), 3
    greedy = SamplingParams(temperature=0.0)
    assert make_sampler(greedy).sample(row, 0, known).token_id == known
    biased = dataclasses.replace(greedy, logit_bias={7: 100.0})
    assert make_sampler(biased).sample(row.copy(), 0, known).token_id == 7
    drawn = make_sampler(SamplingParams(temperature=1.0))
    assert drawn.sample(row, 0, known) == drawn.sample(row, 0)


def test_sample_greedy_takes_the_lowest_of_the_likeliest() -> None:
    row = np.zeros(VOCAB, np.float32)
    row[[7, 31]] = 2
    assert make_sampler().sample(row, 0) == Sampled(7, None, ())


def test_sample_is_the_same_whatever_ran_before() -> None:
    params = SamplingParams(temperature=1.0, top_p=0.95)
    first, second = make_sampler(params), make_sampler(params)
    forward = [first.sample(make_row(p), p).token_id for p in range(50)]
    make_sampler(params, seed=9).sample(make_row(99, 5000), 3)
    backward = [second.sample(make_row(p), p).token_id for p in reversed(range(50))]
    assert forward == backward[::-1]
    other = make_sampler(params, seed=2)
    assert forward != [other.sample(make_row(p), p).token_id for p in range(50)]


def test_sample_hardly_depends_on_the_last_digits_of_logits() -> None:
    sampler = make_sampler(SamplingParams(temperature=1.0, top_k=30, top_p=0.95))
    row = np.zeros(VOCAB, np.float32)
    noise = np.random.default_rng(0).standard_normal((300, VOCAB)).astype(np.float32) * 1e-6
    # Tokens 0 to 9 are nearly as likely as each other, so noise decides their order.
    row[:10] = 6
    same = [
        sampler.sample(row.copy(), p).token_id == sampler.sample(row + noise[p], p).token_id
        for p in range(300)
    ]
    assert sum(same) >= 299


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 1.0},
        {"temperature": 1.0, "top_k": 3},
        {"temperature": 1.0, "top_p": 0.9},
        {"temperature": 1.0, "min_p": 0.1},
        {"logprobs": 2},
        {"repetition_penalty": 1.2, "logprobs": 2},
    ],
)
@pytest.mark.parametrize("place", [0, 17, 2999])
def test_sample_refuses_logits_that_are_not_numbers(
    bad: float, options: dict[str, float], place: int
) -> None:
    row = make_row(0, 3000)
    row[place] = bad
    sampler = make_sampler(SamplingParams(**options), prompt=(17,), size=3000)  # type: ignore[arg-type]
    with pytest.raises(GenerationError, match="not numbers") as caught:
        sampler.sample(row, 0)
    assert caught.value.remedy is not None
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_sample_refuses_a_row_without_a_finite_logit(temperature: float) -> None:
    row = np.full(VOCAB, -np.inf, np.float32)
    with pytest.raises(GenerationError, match="not numbers"):
        make_sampler(SamplingParams(temperature=temperature)).sample(row, 0)


def test_sample_penalties_see_prompt_and_accepted_tokens() -> None:
    row = np.zeros(VOCAB, np.float32)
    row[[4, 8, 12]] = (3.0, 2.9, 2.8)
    sampler = make_sampler(SamplingParams(repetition_penalty=2.0), prompt=(4,))
    assert sampler.sample(row.copy(), 0).token_id == 8
    sampler.accept(8)
    assert sampler.sample(row.copy(), 1).token_id == 12


def test_sample_does_not_end_before_min_tokens() -> None:
    row = np.zeros(VOCAB, np.float32)
    row[5] = 9
    sampler = make_sampler(SamplingParams(min_tokens=2), ends=(5,))
    assert [sampler.sample(row.copy(), p).token_id for p in range(3)] == [0, 0, 5]


def test_sample_logit_bias_forces_and_bans() -> None:
    forced = make_sampler(SamplingParams(temperature=1.0, logit_bias={9: 100}))
    assert {forced.sample(make_row(), p).token_id for p in range(50)} == {9}
    likeliest = int(make_row().argmax())
    banned = make_sampler(SamplingParams(temperature=1.0, logit_bias={likeliest: -100}))
    assert likeliest not in {banned.sample(make_row(), p).token_id for p in range(50)}


def test_sample_logprobs_are_of_the_logits_before_penalties_and_temperature() -> None:
    row = make_row()
    exact = row.astype(np.float64) - np.log(np.exp(row.astype(np.float64)).sum())
    likeliest = int(row.argmax())
    params = SamplingParams(temperature=0.3, logit_bias={likeliest: -100}, logprobs=3)
    sampled = make_sampler(params).sample(row, 0)
    assert sampled.token_id != likeliest
    assert sampled.logprob == pytest.approx(exact[sampled.token_id], abs=1e-5)
    assert [token for token, _ in sampled.top] == np.argsort(-exact)[:3].tolist()
    assert sampled.top[0][1] == pytest.approx(exact[likeliest], abs=1e-5)


def test_sample_logprobs_zero_gives_only_the_chosen_token() -> None:
    sampled = make_sampler(SamplingParams(logprobs=0)).sample(np.zeros(VOCAB, np.float32), 0)
    assert sampled.logprob == pytest.approx(-np.log(VOCAB))
    assert sampled.top == ()


def test_sampled_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sampled(1).token_id = 2  # type: ignore[misc]


def test_sampler_refuses_tokens_the_model_has_not() -> None:
    with pytest.raises(SamplingError, match="not a token"):
        make_sampler(SamplingParams(logit_bias={VOCAB: 1.0}))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.8},
        {"temperature": 0.8, "top_k": 50, "top_p": 0.95},
        {"temperature": 0.8, "top_p": 0.95},
        {"repetition_penalty": 1.1, "logprobs": 5},
    ],
)
def test_sample_allocates_nothing_as_long_as_the_vocabulary(options: dict[str, float]) -> None:
    size = 200_000
    row = make_row(0, size)
    row[::5000] += 12
    sampler = make_sampler(SamplingParams(**options), prompt=(1, 2), size=size)  # type: ignore[arg-type]
    sampler.sample(row, 0)
    tracemalloc.start()
    sampler.sample(row, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size
