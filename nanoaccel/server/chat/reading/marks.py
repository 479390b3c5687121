"""Looks for marks in a text that comes in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


class MarkScanner:
    """Cuts a text at marks. What may be the beginning of one is held back.

    Args:
        marks: Texts to look for; where several begin at one place, the longest is found.
    """

    def __init__(self, marks: Iterable[str]) -> None:
        self._pattern, self._beginnings, self._longest = _compiled(frozenset(marks))
        self._held = ""

    def feed(self, text: str) -> None:
        """Take more text."""
        self._held += text

    def next(self, *, is_last: bool = False) -> tuple[str, str | None]:
        """The text before the next mark, and the mark; None when there is none yet.

        Args:
            is_last: Whether no more text comes, so that nothing is held back.
        """
        found = self._pattern.search(self._held)
        keep = len(self._held) if is_last else self._beginning()
        if found is None or keep <= found.start():
            text, self._held = self._held[:keep], self._held[keep:]
            return text, None
        text = self._held[: found.start()]
        self._held = self._held[found.end() :]
        return text, found[0]

    def rest(self) -> str:
        """What is held, for somebody else who reads on."""
        text, self._held = self._held, ""
        return text

    def _beginning(self) -> int:
        """Where the end of the text may be the beginning of a mark."""
        size = len(self._held)
        for start in range(max(0, size - self._longest + 1), size):
            if self._held[start:] in self._beginnings:
                return start
        return size


@lru_cache(maxsize=64)
def _compiled(marks: frozenset[str]) -> tuple[re.Pattern[str], frozenset[str], int]:
    """A pattern of the marks, what they begin with, and the length of the longest."""
    found = sorted(marks, key=len, reverse=True)
    beginnings = frozenset(mark[:end] for mark in found for end in range(1, len(mark)))
    return re.compile("|".join(map(re.escape, found))), beginnings, len(found[0])
