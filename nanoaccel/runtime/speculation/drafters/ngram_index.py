"""Finds where the end of a text occurred before."""

from __future__ import annotations

from collections.abc import Sequence

MAX_MATCH = 32

_CANDIDATES = 8
_SHIFT = 21  # more bits than a token id has


class NgramIndex:
    """Where all runs of one, two and three tokens occur in a text that grows.

    As compressors of the LZ77 family do, it keeps for each run the position behind its latest
    occurrence, and for each position the one before with the same run of three. Adding a token
    takes constant time; a search looks at the latest few candidates.

    Attributes:
        tokens: The text.
    """

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self._after_one: dict[int, int] = {}
        self._after_two: dict[int, int] = {}
        self._after_three: dict[int, int] = {}
        self._former: list[int] = [0]

    def extend(self, tokens: Sequence[int]) -> None:
        """Add tokens at the end.

        A run is noted when the token behind it comes: before that, it foretells nothing.
        """
        text, former = self.tokens, self._former
        one, two, three = self._after_one, self._after_two, self._after_three
        for token in tokens:
            position = len(text)
            if position > 0:
                one[text[-1]] = position
                former.append(0)
            if position > 1:
                two[text[-2] << _SHIFT | text[-1]] = position
            if position > 2:
                run = (text[-3] << _SHIFT | text[-2]) << _SHIFT | text[-1]
                former[position] = three.get(run, 0)
                three[run] = position
            text.append(token)

    def find(self, tail: Sequence[int]) -> tuple[int, int]:
        """The longest match of the end of a text, of equally long ones the latest.

        Args:
            tail: The text's last tokens; more than ``MAX_MATCH`` are of no use.

        Returns:
            The position in ``tokens`` that follows the match, and how many tokens match; (0, 0)
            when not even the last token is known.
        """
        if len(tail) > 2:
            run = (tail[-3] << _SHIFT | tail[-2]) << _SHIFT | tail[-1]
            if position := self._after_three.get(run):
                return self._longest(tail, position)
        if len(tail) > 1 and (position := self._after_two.get(tail[-2] << _SHIFT | tail[-1])):
            return position, 2
        if len(tail) > 0 and (position := self._after_one.get(tail[-1])):
            return position, 1
        return 0, 0

    def _longest(self, tail: Sequence[int], position: int) -> tuple[int, int]:
        """The best of the latest candidates, of which ``position`` is the last."""
        best, length = position, 0
        most = min(len(tail), MAX_MATCH)
        for _ in range(_CANDIDATES):
            found = self._match(tail, position)
            if found > length:
                best, length = position, found
            position = self._former[position]
            if position == 0 or length == most:
                break
        return best, length

    def _match(self, tail: Sequence[int], position: int) -> int:
        """How many tokens before a position equal the end of ``tail``."""
        text = self.tokens
        most = min(len(tail), position, MAX_MATCH)
        count = 3
        while count < most and text[position - 1 - count] == tail[-1 - count]:
            count += 1
        return count
