"""Leaves special tokens out of a text that is written with all of them."""

from __future__ import annotations

from collections.abc import Iterable

from nanoaccel.server.chat.parts import Part
from nanoaccel.server.chat.reading.marks import MarkScanner
from nanoaccel.server.chat.reading.reader import ReplyReader


class HidingReader:
    """Shows another reader a text without some tokens.

    Args:
        hidden: Spellings of the tokens.
        inner: Reads the rest.
    """

    def __init__(self, hidden: Iterable[str], inner: ReplyReader) -> None:
        self._scanner = MarkScanner(hidden)
        self._inner = inner

    def feed(self, text: str) -> list[Part]:
        """As in ``ReplyReader``."""
        self._scanner.feed(text)
        return self._inner.feed(self._shown(is_last=False))

    def end(self, finish_reason: str) -> list[Part]:
        """As in ``ReplyReader``."""
        return [*self._inner.feed(self._shown(is_last=True)), *self._inner.end(finish_reason)]

    def _shown(self, *, is_last: bool) -> str:
        shown, mark = self._scanner.next(is_last=is_last)
        while mark is not None:
            more, mark = self._scanner.next(is_last=is_last)
            shown += more
        return shown
