import numpy as np
import pytest

from nanoaccel.runtime.sampling.selection import at_least, bound_of_top, largest


@pytest.mark.parametrize("size", [1, 5, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize("k", [1, 3, 200, 4000])
@pytest.mark.parametrize("step", [0.0, 2.0])
def test_bound_of_top_is_reached_by_k_values(size: int, k: int, step: float) -> None:
    k = min(k, size)
    row = np.random.default_rng(size + k).standard_normal(size).astype(np.float32)
    if step:
        row = np.round(row * step)
    assert np.count_nonzero(row >= bound_of_top(row, k)) >= k


def test_bound_of_top_leaves_few_of_a_random_row() -> None:
    row = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    assert at_least(row, bound_of_top(row, 50)).size < 75


def test_at_least_leaves_out_minus_infinity() -> None:
    row = np.array([1, -np.inf, 0, -3e38], np.float32)
    assert at_least(row, -np.inf).tolist() == [0, 2, 3]
    assert at_least(row, 0).tolist() == [0, 2]


def test_largest_takes_the_first_of_ties() -> None:
    values = np.array([1, 3, 1, 2, 1, 3], np.float32)
    wanted = {1: [1], 2: [1, 5], 3: [1, 3, 5], 4: [0, 1, 3, 5], 5: [0, 1, 2, 3, 5]}
    for k, places in wanted.items():
        cut = np.sort(values)[-k]
        assert largest(values, cut, k).tolist() == places
