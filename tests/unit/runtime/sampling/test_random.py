import numpy as np
import pytest

from nanoaccel.runtime.sampling.random import uniform

COUNT = 20_000


def chi_square(cells: np.ndarray, expected: float) -> float:
    """How many standard deviations the statistic lies above its mean."""
    statistic = float(((cells - expected) ** 2 / expected).sum())
    freedom = cells.size - 1
    return float((statistic - freedom) / (2 * freedom) ** 0.5)


def test_uniform_pinned_values() -> None:
    # A change of these would change every text that was made with a seed.
    assert uniform(0, 0) == 0.6524484863740322
    assert uniform(0, 1) == 0.7012121095215252
    assert uniform(42, 1000) == 0.6952598398323256


def test_uniform_takes_any_integer_seed() -> None:
    for seed in (-1, 0, 1 << 63, (1 << 64) - 1, 1 << 200):
        assert 0 <= uniform(seed, 0) < 1
    assert uniform(-1, 5) == uniform((1 << 64) - 1, 5)


@pytest.mark.parametrize("seed", [0, 1, 12345, 1 << 62])
def test_uniform_fills_the_interval_evenly(seed: int) -> None:
    numbers = np.array([uniform(seed, position) for position in range(COUNT)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    cells = np.histogram(numbers, bins=64, range=(0, 1))[0]
    assert chi_square(cells, COUNT / 64) < 4


@pytest.mark.parametrize(("seed_step", "position_step"), [(0, 1), (1, 0), (1, 1), (1, -1), (0, 2)])
def test_uniform_neighbours_are_independent(seed_step: int, position_step: int) -> None:
    pairs = np.array(
        [
            (
                uniform(i // 100, i % 100 + 1),
                uniform(i // 100 + seed_step, i % 100 + 1 + position_step),
            )
            for i in range(COUNT)
        ]
    )
    cells = np.histogram2d(pairs[:, 0], pairs[:, 1], bins=8, range=((0, 1), (0, 1)))[0]
    assert chi_square(cells.ravel(), COUNT / 64) < 4
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 4 / COUNT**0.5
