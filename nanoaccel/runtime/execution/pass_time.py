"""How long a pass through the graph takes: learned from passes as they happen."""

from __future__ import annotations

from bisect import bisect_right, insort
from itertools import pairwise

_KNOTS = tuple(1 << power for power in range(14))
# How far a pass moves the curve towards it.
_GAIN = 0.35
# A pass may count as this many times what was expected at most: other programs and page faults
# make some passes longer, nothing makes one shorter.
_MOST_SURPRISE = 1.5


def _typical(tokens: int) -> float:
    """How costs rise: reading the weights costs as much as computing eight tokens."""
    return 1 + tokens / 8


_TYPICAL = tuple(_typical(knot) for knot in _KNOTS)


class PassCost:
    """What a pass through the graph costs, as a function of its tokens; learned as they happen.

    The curve is piecewise linear over 1, 2, 4, ... tokens. A pass moves the two knots beside it,
    each by its part in what was expected, towards what was measured (normalized least mean
    squares, in logarithms), and the others no further than needed for the curve to never fall.
    Knots that no pass came near lie between their neighbours, or follow a typical curve beyond.
    """

    def __init__(self) -> None:
        # Seconds at each knot, and the knots that passes came near, ascending.
        self._curve: list[float] = []
        self._seen: list[int] = []
        self._num_passes = 0

    def observe(self, tokens: int, seconds: float) -> None:
        """Note a pass over 1 or more tokens; a clock that stood still says nothing."""
        if seconds <= 0:
            return
        self._num_passes += 1
        low, share = _place(tokens)
        expected = self.seconds(tokens)
        # The first pass also repacks the weights: the second one begins afresh.
        if expected is None or self._num_passes == 2:
            unit = seconds / _typical(tokens)
            self._curve = [unit * typical for typical in _TYPICAL]
            self._seen = [low if share < 0.5 else low + 1]
            return
        ratio = min(seconds / expected, _MOST_SURPRISE)
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

    def seconds(self, tokens: int) -> float | None:
        """Of a pass over 1 or more tokens; None before the first was observed."""
        if not self._curve:
            return None
        low, share = _place(tokens)
        return self._curve[low] + share * (self._curve[low + 1] - self._curve[low])

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

    def _level(self, pivot: int) -> None:
        """Make the seen knots rise again after some near ``pivot`` were moved."""
        curve = self._curve
        place = self._seen.index(pivot)
        most = curve[pivot]
        for knot in self._seen[place + 1 :]:
            most = curve[knot] = max(curve[knot], most)
        least = curve[pivot]
        for knot in reversed(self._seen[:place]):
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


def _place(tokens: int) -> tuple[int, float]:
    """The knot at or below, and how far it is to the next one: 0 there, 1 at the next."""
    assert tokens > 0, "a pass has a token"
    low = min(tokens.bit_length(), len(_KNOTS) - 1) - 1
    return low, (tokens - _KNOTS[low]) / (_KNOTS[low + 1] - _KNOTS[low])
