"""What a pass costs by its tokens, when each of them gives a row of logits."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate

# How far a pass moves the whole curve, and how much further its own size.
_GAIN = 0.2
_OWN_GAIN = 0.15
# What remains, with each pass, of what sizes differ by from what was measured at first.
_MEMORY = 0.98
# A pass counts as this many times what was expected at most: other programs make some longer.
_MOST_SURPRISE = 1.5


class StepCost:
    """Seconds of a pass over 1, 2, 3, ... tokens: a measured shape, scaled by what happens.

    The shape is measured once, on an idle engine. Later passes show how fast the machine is just
    now, which concerns all sizes, also those that no pass had lately; only in part, and for a
    while, does a pass speak for its own size alone.
    """

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._shape: list[float] = []
        self._own: list[float] = []
        self._scale = 0.0
        self._curve: list[float] = []
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

    def observe(self, tokens: int, seconds: float) -> None:
        """Learn from a pass; nothing before ``restore``, or from a clock that stood still."""
        expected = self.seconds(tokens)
        if expected is None or seconds <= 0:
            return
        surprise = math.log(min(seconds / expected, _MOST_SURPRISE))
        self._scale += _GAIN * surprise
        self._own = [_MEMORY * value for value in self._own]
        if tokens <= self._sizes[-1]:
            for place, share in self._neighbors(tokens):
                self._own[place] += _OWN_GAIN * share * surprise
        self._update()

    def seconds(self, tokens: int) -> float | None:
        """Of a pass over 1 or more tokens; None before ``restore``."""
        if not self._curve:
            return None
        found = self._found.get(tokens)
        if found is None:
            found = sum(share * self._curve[place] for place, share in self._neighbors(tokens))
            self._found[tokens] = found
        return found

    def _neighbors(self, tokens: int) -> tuple[tuple[int, float], tuple[int, float]]:
        """The measured sizes below and above, each with its share; beyond the last, the slope."""
        if len(self._sizes) == 1:
            return (0, 1.0), (0, 0.0)
        above = min(max(bisect_left(self._sizes, tokens), 1), len(self._sizes) - 1)
        low, high = self._sizes[above - 1], self._sizes[above]
        share = (tokens - low) / (high - low)
        return (above - 1, 1 - share), (above, share)

    def _update(self) -> None:
        """The curve; more tokens never cost less."""
        logs = (
            shape + own + self._scale for shape, own in zip(self._shape, self._own, strict=True)
        )
        self._curve = list(accumulate((math.exp(value) for value in logs), max))
        self._found.clear()
