"""A histogram as Prometheus has them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0),
)
SHARES = tuple(step / 10 for step in range(11))
TOKENS = tuple(float(2**power) for power in range(18))


class Histogram:
    """Counts values by size.

    Args:
        bounds: Upper bounds of the buckets, ascending; above the last one is one more.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    @property
    def count(self) -> int:
        """Values so far."""
        return sum(self._counts)

    def add(self, value: float, times: int = 1) -> None:
        """Note a value, or several that are equal."""
        self._counts[bisect_left(self._bounds, value)] += times
        self.total += value * times

    def buckets(self) -> Iterator[tuple[str, int]]:
        """Upper bound, and how many values are not above it."""
        below = 0
        for bound, count in zip((*map(_number, self._bounds), "+Inf"), self._counts, strict=True):
            below += count
            yield bound, below


def _number(bound: float) -> str:
    return f"{bound:g}" if bound < 1e6 else repr(bound)
