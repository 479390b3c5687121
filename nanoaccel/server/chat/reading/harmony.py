"""Reads gpt-oss's harmony format: messages in channels."""

from __future__ import annotations

import re

from nanoaccel.server.chat.parts import CallArguments, CallBegin, Content, End, Part, Reasoning
from nanoaccel.server.chat.reading.calls import new_call_id
from nanoaccel.server.chat.reading.marks import MarkScanner
from nanoaccel.server.chat.reading.reader import Trimmed

MESSAGE = "<|message|>"
ENDS = ("<|end|>", "<|call|>", "<|return|>", "<|start|>")
MARKS = (MESSAGE, *ENDS, "<|channel|>", "<|constrain|>")
_FUNCTION = re.compile(r"\bto=functions\.([\w.-]+)", re.ASCII)


class HarmonyReader:
    """Reads messages of an assistant, the first one from within its header.

    A message to a function is a call; one in the channel "analysis" is thoughts, any other the
    answer.
    """

    def __init__(self) -> None:
        self._header = MarkScanner([MESSAGE])
        self._body = MarkScanner(ENDS)
        self._said = ""
        self._in_header = True
        self._kind: Trimmed | None = None
        self._thoughts = Trimmed(Reasoning)
        self._content = Trimmed(Content)
        self._count = 0
        self._is_whole = False

    def feed(self, text: str) -> list[Part]:
        """As in ``ReplyReader``."""
        (self._header if self._in_header else self._body).feed(text)
        parts: list[Part] = []
        while True:
            before = self._in_header
            parts += self._read_header() if before else self._read_body(is_last=False)
            if self._in_header is before:
                return parts

    def end(self, finish_reason: str) -> list[Part]:
        """As in ``ReplyReader``."""
        parts = [] if self._in_header else self._read_body(is_last=True)
        if finish_reason == "stop" and not self._in_header and self._kind is None:
            self._is_whole = True
        parts += self._content.rest()
        called = self._count > 0 and self._is_whole and finish_reason == "stop"
        return [*parts, End("tool_calls" if called else finish_reason)]

    def _read_header(self) -> list[Part]:
        said, mark = self._header.next()
        self._said += said
        if mark is None:
            return []
        header, self._said = self._said, ""
        self._in_header = False
        self._body.feed(self._header.rest())
        function = _FUNCTION.search(header)
        if function is not None:
            self._kind = None
            self._is_whole = False
            self._content.drop()
            self._count += 1
            return [CallBegin(self._count - 1, new_call_id(), function[1])]
        self._kind = self._thoughts if "analysis" in header else self._content
        return []

    def _read_body(self, *, is_last: bool) -> list[Part]:
        text, mark = self._body.next(is_last=is_last)
        if self._kind is not None:
            parts = self._kind.feed(text)
        else:
            parts = [CallArguments(self._count - 1, text)] if text else []
        if mark is not None:
            self._is_whole = self._is_whole or self._kind is None
            self._in_header = True
            self._header.feed(self._body.rest())
        return parts
