"""Reads arguments that stand in tags, one after the other, into JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from nanoaccel.server.chat.reading.marks import MarkScanner


class ArgumentTags(NamedTuple):
    """What stands around the arguments of a call.

    Args:
        begin: What stands before a name.
        after_name: What stands between name and value.
        end: What stands behind a value, and nowhere in it.
        gap: What follows that.
    """

    begin: str
    after_name: str
    end: str
    gap: str


class TaggedArguments:
    """Reads the arguments of one call.

    Args:
        tags: What stands around them.
        raw: Names of those that are written as text; others are JSON.
    """

    def __init__(self, tags: ArgumentTags, raw: frozenset[str]) -> None:
        self._tags = tags
        self._raw = raw
        self._held = ""
        self._count = 0
        self._json = ""
        self._step: Callable[[], str | None] = self._read_tag
        self._text = MarkScanner([tags.end])
        self._is_done = False

    def feed(self, text: str) -> tuple[str, str | None]:
        """As in ``ArgumentsReader``."""
        self._held += text
        made = ""
        while (more := self._step()) is not None:
            made += more
            if self._is_done:
                return made, self._held
        return made, None

    def _read_tag(self) -> str | None:
        """Pass over the beginning of an argument, or find that there is none."""
        begin = self._tags.gap + self._tags.begin if self._count else self._tags.begin
        ending = self._tags.gap if self._count else ""
        held = self._held
        if not held or (begin.startswith(held) and held != begin):
            return None
        if held.startswith(begin):
            self._held = held[len(begin) :]
            self._step = self._read_name
            return ""
        self._held = held.removeprefix(ending)
        self._is_done = True
        return "}" if self._count else "{}"

    def _read_name(self) -> str | None:
        name, found, rest = self._held.partition(self._tags.after_name)
        if not found:
            return None
        self._held = rest
        lead = ", " if self._count else "{"
        self._count += 1
        is_raw = name in self._raw
        self._step = self._read_text if is_raw else self._read_json
        self._json = ""
        return f"{lead}{json.dumps(name, ensure_ascii=False)}: " + ('"' if is_raw else "")

    def _read_text(self) -> str | None:
        if not self._held:
            return None
        self._text.feed(self._held)
        text, mark = self._text.next()
        self._held = ""
        made = json.dumps(text, ensure_ascii=False)[1:-1]
        if mark is not None:
            self._held = self._text.rest()
            self._step = self._read_tag
            made += '"'
        return made

    def _read_json(self) -> str | None:
        value, found, rest = self._held.partition(self._tags.end)
        if not found:
            return None
        self._held = rest
        self._json += value
        try:
            json.loads(self._json)
        except ValueError:  # the mark stands in a string
            self._json += found
            return ""
        self._step = self._read_tag
        return self._json
