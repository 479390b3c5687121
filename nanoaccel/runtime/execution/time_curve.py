"""A curve from the tokens of a pass to its seconds, learned from passes as they happen."""

from __future__ import annotations

from abc import ABC, abstractmethod

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
