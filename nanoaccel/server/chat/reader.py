"""Reads one completion as its text comes."""

from __future__ import annotations

from typing import Protocol

from nanoaccel.server.chat.parts import Content, End, Part


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
