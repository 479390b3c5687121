"""A curve of pass times whose shape is measured before the first request."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate

from nanoaccel.runtime.execution.time_curve import TimeCurve

# How far a pass moves the whole curve, and how much further its own size.
_GAIN = 0.2
_OWN_GAIN = 0.15
# What remains, with each pass, of what sizes differ by from what was measured at first.
_MEMORY = 0.995


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
        self._asked: dict[int, float | None] = {}  # for many times between two passes

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
        if tokens not in self._asked:
            self._asked[tokens] = super().seconds(tokens)
        return self._asked[tokens]

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
        self._scale += _GAIN * surprise
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
        self._asked.clear()
