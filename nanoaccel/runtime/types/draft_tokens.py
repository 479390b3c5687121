"""Counts what became of draft tokens, for one request or for all."""

from __future__ import annotations

_POSITIONS = 16


class DraftCounter:
    """All numbers rise.

    Attributes:
        steps: How often a request got tokens from a pass.
        draft_steps: Those times that it had draft tokens to verify.
        drafted: Draft tokens that were verified.
        accepted: Those that were accepted: tokens that needed no pass of their own.
    """

    def __init__(self) -> None:
        self.steps = self.draft_steps = self.drafted = self.accepted = 0
        self._reached = [0] * _POSITIONS
        self._accepted = [0] * _POSITIONS
        self._checked = self._position = 0

    def begin(self, checked: int) -> None:
        """Note a step that gives a request tokens and verifies so many draft tokens for it."""
        self.steps += 1
        self.draft_steps += checked > 0
        self.drafted += checked
        self._checked, self._position = min(checked, _POSITIONS), 0
        if checked > 0:
            self._reached[0] += 1

    def accept(self, count: int = 1) -> None:
        """Note that the next of them were accepted."""
        self.accepted += count
        for position in range(self._position, min(self._position + count, _POSITIONS)):
            self._accepted[position] += 1
            if position + 1 < self._checked:
                self._reached[position + 1] += 1
        self._position += count

    def by_position(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """By position in a draft: tokens before which all were accepted, and those accepted."""
        used = sum(count > 0 for count in self._reached)
        return tuple(self._reached[:used]), tuple(self._accepted[:used])
