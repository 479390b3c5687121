"""What reads one completion, and the simplest that does."""

from __future__ import annotations

from typing import Protocol

from nanoaccel.server.chat.parts import Content, End, Part, Reasoning


class ReplyReader(Protocol):
    """Finds the parts in a text. However the text is cut, the parts joined are the same."""

    def feed(self, text: str) -> list[Part]:
        """The parts that are certain after some more text."""

    def end(self, finish_reason: str) -> list[Part]:
        """What was held back, and the end.

        Args:
            finish_reason: "stop" or "length".
        """


class PlainReader:
    """Takes all text for content."""

    def feed(self, text: str) -> list[Part]:
        """As in ``ReplyReader``."""
        return [Content(text)] if text else []

    def end(self, finish_reason: str) -> list[Part]:
        """As in ``ReplyReader``."""
        return [End(finish_reason)]


class Trimmed:
    """Text of one kind, whose white space at the end waits for what follows it.

    Args:
        kind: What it is.
        skips_space: Whether white space at the beginning is left out too.
    """

    def __init__(self, kind: type[Content] | type[Reasoning], *, skips_space: bool = False) -> None:
        self._kind = kind
        self._skips = skips_space
        self._space = ""

    def feed(self, text: str) -> list[Part]:
        """The part that is certain after some more text, if there is one."""
        text = self._space + text
        if self._skips:
            text = text.lstrip()
            self._skips = not text
        shown = text.rstrip()
        self._space = text[len(shown) :]
        return [self._kind(shown)] if shown else []

    def rest(self) -> list[Part]:
        """The white space that waits, where nothing follows."""
        text, self._space = self._space, ""
        return [self._kind(text)] if text else []

    def drop(self) -> None:
        """Leave out the white space that waits, and what comes next of it."""
        self._space = ""
        self._skips = True
