"""A curve of pass times that needs no measurement before the first pass."""

from __future__ import annotations

from bisect import bisect_right, insort
from itertools import pairwise

from nanoaccel.runtime.execution.time_curve import TimeCurve

_KNOTS = tuple(1 << power for power in range(14))
# How far a pass moves the curve towards it.
_GAIN = 0.35


def _typical(tokens: int) -> float:
    """How times rise: reading the weights takes as long as computing eight tokens."""
    return 1 + tokens / 8


_TYPICAL = tuple(_typical(knot) for knot in _KNOTS)


class OnlineCurve(TimeCurve):
    """A curve that begins with the first pass and is learned over all sizes.

    Its knots are 1, 2, 4, ... tokens. A pass moves the two knots beside it, each by its part in
    what was expected, towards what was measured (normalized least mean squares, in logarithms),
    and the others no further than needed for the curve to never fall. Knots that no pass came near
    lie between their neighbours, or follow a typical curve beyond.
    """

    def __init__(self) -> None:
        super().__init__()
        # The knots that passes came near, ascending.
        self._seen: list[int] = []
        self._num_passes = 0

    def tokens_within(self, seconds: float) -> int | None:
        """The most tokens of a pass within ``seconds``; None before the first was observed."""
        if not self._curve:
            return None
        above = bisect_right(self._curve, seconds)
        if above == 0:
            return 0
        low = min(above, len(_KNOTS) - 1) - 1
        rise = self._curve[low + 1] - self._curve[low]
        if rise <= 0:
            return _KNOTS[-1]
        share = (seconds - self._curve[low]) / rise
        return _KNOTS[low] + int(share * (_KNOTS[low + 1] - _KNOTS[low]))

    def _segment(self, tokens: int) -> tuple[int, float]:
        assert tokens > 0, "a pass has a token"
        low = min(tokens.bit_length(), len(_KNOTS) - 1) - 1
        return low, (tokens - _KNOTS[low]) / (_KNOTS[low + 1] - _KNOTS[low])

    def _learn(self, tokens: int, seconds: float, ratio: float | None) -> None:
        self._num_passes += 1
        low, share = self._segment(tokens)
        # The first pass also repacks the weights: the second one begins afresh.
        if ratio is None or self._num_passes == 2:
            unit = seconds / _typical(tokens)
            self._curve = [unit * typical for typical in _TYPICAL]
            self._seen = [low if share < 0.5 else low + 1]
            return
        expected = self._curve[low] + share * (self._curve[low + 1] - self._curve[low])
        upper = min(share * self._curve[low + 1] / expected, 1.0)
        nearest = low if upper < 0.5 else low + 1
        norm = upper**2 + (1 - upper) ** 2
        for knot, part in ((low, 1 - upper), (low + 1, upper)):
            if knot in self._seen:
                self._curve[knot] *= ratio ** (_GAIN * part / norm)
        if nearest not in self._seen:
            self._curve[nearest] *= ratio if ratio < 1 else ratio**_GAIN
            insort(self._seen, nearest)
        self._level(nearest)
        self._fill()

    def _level(self, pivot: int) -> None:
        """Make the seen knots rise again after some near ``pivot`` were moved."""
        curve = self._curve
        index = self._seen.index(pivot)
        most = curve[pivot]
        for knot in self._seen[index + 1 :]:
            most = curve[knot] = max(curve[knot], most)
        least = curve[pivot]
        for knot in reversed(self._seen[:index]):
            least = curve[knot] = min(curve[knot], least)

    def _fill(self) -> None:
        """Let the knots that were never seen follow those that were."""
        curve = self._curve
        first, last = self._seen[0], self._seen[-1]
        for knot in range(first):
            curve[knot] = curve[first] * _TYPICAL[knot] / _TYPICAL[first]
        for low, high in pairwise(self._seen):
            if high > low + 1:
                slope = (curve[high] - curve[low]) / (_KNOTS[high] - _KNOTS[low])
                for knot in range(low + 1, high):
                    curve[knot] = curve[low] + slope * (_KNOTS[knot] - _KNOTS[low])
        for knot in range(last + 1, len(_KNOTS)):
            curve[knot] = curve[last] * _TYPICAL[knot] / _TYPICAL[last]
