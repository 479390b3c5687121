import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nanoaccel.runtime.sampling import SamplingSettings
from nanoaccel.runtime.sampling.distribution import Distribution, distribution
from nanoaccel.runtime.sampling.draw import draw

BELOW_ONE = 1 - 2**-53


def reference(row: np.ndarray, params: SamplingSettings) -> tuple[np.ndarray, np.ndarray, bool]:
    """Ids kept, ascending, their probabilities, and whether rounding may decide who is kept."""
    ids = np.argsort(-row, kind="stable")
    ids = ids[row[ids] > -np.inf]
    if params.top_k:
        ids = ids[: params.top_k]
    logits = row[ids].astype(np.float64)
    weights = np.exp((logits - logits[0]) / params.temperature)
    narrow = False
    if params.top_p < 1:
        cumulative = weights.cumsum() / weights.sum()
        count = min(int(np.searchsorted(cumulative, params.top_p)) + 1, ids.size)
        narrow = bool((abs(cumulative - params.top_p) < 1e-5).any())
        ids, weights = ids[:count], weights[:count]
    if params.min_p:
        narrow = narrow or bool((abs(weights / params.min_p - 1) < 1e-5).any())
        ids, weights = ids[weights >= params.min_p], weights[weights >= params.min_p]
    order = np.argsort(ids)
    return ids[order], weights[order] / weights.sum(), narrow


def build(row: np.ndarray, **options: float) -> Distribution:
    options.setdefault("temperature", 1.0)
    params = SamplingSettings(**options)  # type: ignore[arg-type]
    return distribution(row, float(row.max()), params)


def spread(result: Distribution, size: int) -> np.ndarray:
    """Probabilities of all tokens."""
    whole = np.zeros(size)
    ids = np.arange(size) if result.token_ids is None else result.token_ids
    whole[ids] = result.weights / result.weights.sum(dtype=np.float64)
    return whole


def peaked_row(size: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    row = (rng.standard_normal(size) * 3).astype(np.float32)
    row[rng.integers(0, size, 8)] += 8
    return row


@st.composite
def rows(choose: st.DrawFn) -> np.ndarray:
    if choose(st.booleans()):
        values = st.sampled_from([-math.inf, -3.0, -1.0, 0.0, 0.5, 2.0]) | st.floats(
            -20, 20, width=32
        )
        row = np.array(choose(st.lists(values, min_size=1, max_size=40)), np.float32)
        assume(np.isfinite(row.max()))
        return row
    row = peaked_row(choose(st.sampled_from([2, 300, 1500, 2600])), choose(st.integers(0, 50)))
    return np.round(row * 2) / np.float32(2) if choose(st.booleans()) else row


@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    row=rows(),
    temperature=st.sampled_from([0.05, 0.7, 1.0, 1.8, 50.0]),
    top_k=st.sampled_from([0, 0, 1, 2, 5, 50, 1000, 10**9]),
    top_p=st.sampled_from([1.0, 1.0, 0.99999, 0.95, 0.8, 0.3, 1e-9]),
    min_p=st.sampled_from([0.0, 0.0, 1e-6, 0.02, 0.3, 1.0]),
    uniform=st.sampled_from([0.0, 0.2, 0.5, 0.9, BELOW_ONE]),
)
def test_distribution_matches_sorting_the_whole_row(
    row: np.ndarray, temperature: float, top_k: int, top_p: float, min_p: float, uniform: float
) -> None:
    params = SamplingSettings(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    ids, probabilities, narrow = reference(row, params)
    assume(not narrow)
    result = distribution(row, float(row.max()), params)
    if result.token_ids is not None:
        assert result.token_ids.tolist() == ids.tolist()
    whole = np.zeros(row.size)
    whole[ids] = probabilities
    np.testing.assert_allclose(spread(result, row.size), whole, rtol=2e-5, atol=1e-30)
    for drawn in (result.draw(uniform), draw(row, params, uniform)):
        below = whole[:drawn].sum()
        assert below - 1e-5 <= uniform <= below + whole[drawn] + 1e-5
        assert whole[drawn] > 0


@pytest.mark.parametrize("size", [1, 10, 256, 257, 3000])
@pytest.mark.parametrize("top_p", [1e-9, 0.25, 0.5, 0.75, 1.0])
def test_distribution_of_equal_logits_keeps_the_lowest_ids(size: int, top_p: float) -> None:
    result = build(np.full(size, 3, np.float32), top_p=top_p)
    count = size if result.token_ids is None else result.token_ids.size
    assert count == max(1, math.ceil(top_p * size))
    if result.token_ids is not None:
        assert result.token_ids.tolist() == list(range(count))
    assert (result.weights == 1).all()


def test_distribution_of_equal_logits_top_k_keeps_the_lowest_ids() -> None:
    result = build(np.zeros(5000, np.float32), top_k=7)
    assert result.token_ids is not None
    assert result.token_ids.tolist() == list(range(7))


def test_distribution_keeps_the_token_that_reaches_top_p() -> None:
    row = np.log(np.array([0.1, 0.5, 0.15, 0.25], np.float32))
    for top_p, kept in ((0.49, [1]), (0.51, [1, 3]), (0.74, [1, 3]), (0.76, [1, 2, 3])):
        result = build(row, top_p=top_p)
        assert result.token_ids is not None
        assert result.token_ids.tolist() == kept


def test_distribution_top_p_is_of_what_top_k_left() -> None:
    row = np.log(np.array([0.4, 0.2, 0.2, 0.2], np.float32))
    # Of the two tokens left, the first has 2/3.
    result = build(row, top_k=2, top_p=0.6)
    assert result.token_ids is not None
    assert result.token_ids.tolist() == [0]


def test_distribution_min_p_is_of_the_likeliest_token() -> None:
    row = np.log(np.array([0.5, 0.3, 0.11, 0.09], np.float32))
    result = build(row, min_p=0.2)
    assert result.token_ids is not None
    assert result.token_ids.tolist() == [0, 1, 2]


@pytest.mark.parametrize("options", [{}, {"top_k": 5}, {"top_p": 0.9}, {"min_p": 0.1}])
@pytest.mark.parametrize("temperature", [5e-324, 1e-310, 1e-40, 1e-10])
def test_distribution_tiny_temperature_is_greedy(
    options: dict[str, float], temperature: float
) -> None:
    row = peaked_row(3000)
    row[:3] = (-np.inf, 3e38, -3e38)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = build(row, temperature=temperature, **options)
        assert {result.draw(uniform) for uniform in (0.0, 0.5, BELOW_ONE)} == {1}


@pytest.mark.parametrize("options", [{}, {"top_k": 5}, {"top_p": 0.9}, {"min_p": 0.1}])
def test_distribution_huge_temperature_is_flat(options: dict[str, float]) -> None:
    row = peaked_row(3000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = build(row, temperature=1e300, **options)
    assert (result.weights == 1).all()


@pytest.mark.parametrize("options", [{}, {"top_k": 2000}, {"top_p": 0.999}, {"min_p": 1e-9}])
@pytest.mark.parametrize("size", [200, 3000])
def test_draw_never_gives_a_token_of_weight_zero(options: dict[str, float], size: int) -> None:
    row = np.full(size, -np.inf, np.float32)
    row[[90, 150]] = (0, -0.001)
    result = build(row, **options)
    assert result.draw(0.0) == 90
    assert result.draw(BELOW_ONE) == 150


@pytest.mark.parametrize("size", [5, 256, 257, 2600])
def test_draw_inverts_the_distribution_function(size: int) -> None:
    row = peaked_row(size)
    probabilities = spread(build(row), size)
    cumulative = probabilities.cumsum()
    result = build(row)
    for uniform in np.random.default_rng(1).random(300):
        if abs(cumulative - uniform).min() > 1e-6:
            assert result.draw(uniform) == int(np.searchsorted(cumulative, uniform, side="right"))
