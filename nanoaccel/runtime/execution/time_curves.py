"""Curves from the tokens of a pass to its seconds, learned from passes as they happen."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from itertools import accumulate, pairwise

# A pass counts as this many times what was expected at most: other programs and page faults make
# some passes longer, nothing makes one shorter.
_MOST_SURPRISE = 1.5


class TimeCurve(ABC):
    """Seconds of a pass, piecewise linear in its tokens; more tokens never take less."""

    def __init__(self) -> None:
        # Seconds at each knot; empty before anything is known.
        self._curve: list[float] = []

    def seconds(self, tokens: int) -> float | None:
        """Seconds of a pass over 1 or more tokens; None before anything is known."""
        if not self._curve:
            return None
        low, share = self._segment(tokens)
        begin = self._curve[low]
        return begin if share == 0 else begin + share * (self._curve[low + 1] - begin)

    def observe(self, tokens: int, seconds: float) -> None:
        """Learn from a pass over 1 or more tokens; a clock that stood still is ignored."""
        if seconds > 0:
            expected = self.seconds(tokens)
            ratio = None if expected is None else min(seconds / expected, _MOST_SURPRISE)
            self._learn(tokens, seconds, ratio)

    @abstractmethod
    def _segment(self, tokens: int) -> tuple[int, float]:
        """The knot before, and how far it is to the next one: 0 there, 1 at the next."""

    @abstractmethod
    def _learn(self, tokens: int, seconds: float, ratio: float | None) -> None:
        """Move the curve.

        Args:
            tokens: Tokens of a pass.
            seconds: What it took.
            ratio: The same against what was expected, bounded; None when nothing was.
        """


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


# How far a pass moves the whole curve, and how much further its own size.
_SCALE_GAIN = 0.2
_OWN_GAIN = 0.15
# What remains, with each pass, of what sizes differ by from what was measured at first.
_MEMORY = 0.98


class ScaledCurve(TimeCurve):
    """A curve whose shape is measured, scaled by passes as they happen.

    The shape is measured once, on an idle engine. Later passes show how fast the machine is just
    now, which concerns all sizes, also those that no pass had lately; only in part, and for a
    while, does a pass speak for its own size alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sizes: list[int] = []
        self._shape: list[float] = []
        self._own: list[float] = []
        self._scale = 0.0
        self._found: dict[int, float] = {}

    def restore(self, points: Mapping[int, float]) -> None:
        """Begin with what was measured.

        Args:
            points: Seconds of passes over so many tokens, one of them 1.
        """
        self._sizes = sorted(points)
        self._shape = [math.log(points[size]) for size in self._sizes]
        self._own = [0.0] * len(self._sizes)
        self._scale = 0.0
        self._update()

    def seconds(self, tokens: int) -> float | None:
        """Seconds of a pass over 1 or more tokens; None before ``restore``."""
        found = self._found.get(tokens)
        if found is None:
            found = super().seconds(tokens)
            if found is not None:
                self._found[tokens] = found
        return found

    def _segment(self, tokens: int) -> tuple[int, float]:
        if len(self._sizes) == 1:
            return 0, 0.0
        above = min(max(bisect_left(self._sizes, tokens), 1), len(self._sizes) - 1)
        low, high = self._sizes[above - 1], self._sizes[above]
        return above - 1, (tokens - low) / (high - low)

    def _learn(self, tokens: int, seconds: float, ratio: float | None) -> None:  # noqa: ARG002
        if ratio is None:
            return
        surprise = math.log(ratio)
        self._scale += _SCALE_GAIN * surprise
        self._own = [_MEMORY * value for value in self._own]
        if tokens <= self._sizes[-1]:
            low, share = self._segment(tokens)
            self._own[low] += _OWN_GAIN * (1 - share) * surprise
            if share > 0:
                self._own[low + 1] += _OWN_GAIN * share * surprise
        self._update()

    def _update(self) -> None:
        logs = (
            shape + own + self._scale for shape, own in zip(self._shape, self._own, strict=True)
        )
        self._curve = list(accumulate((math.exp(value) for value in logs), max))
        self._found.clear()
