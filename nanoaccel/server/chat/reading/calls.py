"""Reads calls whose arguments are written as JSON."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Sequence
from typing import Protocol

from nanoaccel.server.chat.parts import CallArguments, CallBegin, Content, End, Part
from nanoaccel.server.chat.reading.json_value import JsonObject
from nanoaccel.server.chat.reading.marks import MarkScanner
from nanoaccel.server.chat.reading.reader import Trimmed

_ALPHABET = string.ascii_letters + string.digits
_NO_NAME = r"(?=[^\w.-])"
_ID_LETTERS = 9  # Mistral's templates take no other number


def new_call_id() -> str:
    """An id for a call that every chat template takes back."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LETTERS))


class ArgumentsReader(Protocol):
    """Reads the arguments of one call."""

    def feed(self, text: str) -> tuple[str, str | None]:
        """JSON of some more text, and what stands behind the arguments; None before their end."""


class CallsReader:
    """Takes text for content up to the first call; then one call follows the other.

    Args:
        trigger: What begins the calls.
        openings: What stands before the name of the first function, one of these.
        after_name: What ends a name; empty where that is what no name holds.
        betweens: What stands between the arguments of a call and the next name, one of these.
        arguments: Makes what reads the arguments of a function.
        is_at_start: Whether calls begin the text, or there are none.
    """

    def __init__(
        self,
        *,
        trigger: str,
        openings: Sequence[str],
        after_name: str,
        betweens: Sequence[str],
        arguments: Callable[[str], ArgumentsReader],
        is_at_start: bool = False,
    ) -> None:
        self._scanner = MarkScanner([trigger])
        self._trigger = trigger
        self._openings = openings
        self._name_end = re.compile(re.escape(after_name) if after_name else _NO_NAME)
        self._betweens = betweens
        self._new_arguments = arguments
        self._is_at_start = is_at_start
        self._content = Trimmed(Content)
        self._step: Callable[[], list[Part] | None] = self._read_text
        self._held = ""
        self._count = 0
        self._arguments: ArgumentsReader | None = None

    def feed(self, text: str) -> list[Part]:
        """As in ``ReplyReader``."""
        self._held += text
        parts: list[Part] = []
        while (more := self._step()) is not None:
            parts += more
        return parts

    def end(self, finish_reason: str) -> list[Part]:
        """As in ``ReplyReader``."""
        parts: list[Part] = []
        if self._step == self._read_text:
            text, _ = self._scanner.next(is_last=True)
            parts = [*self._content.feed(text + self._held), *self._content.rest()]
        is_whole = self._count > 0 and self._step != self._read_arguments
        called = is_whole and finish_reason == "stop"
        return [*parts, End("tool_calls" if called else finish_reason)]

    def _read_text(self) -> list[Part] | None:
        """Read content; None when more text is needed, as in all steps."""
        if self._is_at_start:
            begun = self._held.lstrip()
            if self._trigger.startswith(begun) and begun != self._trigger:
                return None
            self._is_at_start = False
            if not begun.startswith(self._trigger):
                self._step = self._read_plain
                return []
        if not self._held:
            return None
        self._scanner.feed(self._held)
        text, mark = self._scanner.next()
        self._held = ""
        parts = self._content.feed(text)
        if mark is not None:
            self._held = self._scanner.rest()
            self._step = self._read_opening
        return parts

    def _read_plain(self) -> list[Part] | None:
        text, self._held = self._held, ""
        return [Content(text)] if text else None

    def _read_opening(self) -> list[Part] | None:
        return self._skip(self._openings, self._read_name)

    def _read_name(self) -> list[Part] | None:
        found = self._name_end.search(self._held)
        if found is None:
            return None
        name, self._held = self._held[: found.start()], self._held[found.end() :]
        self._arguments = self._new_arguments(name)
        self._step = self._read_arguments
        self._count += 1
        return [CallBegin(self._count - 1, new_call_id(), name)]

    def _read_arguments(self) -> list[Part] | None:
        assert self._arguments is not None
        if not self._held:
            return None
        json, rest = self._arguments.feed(self._held)
        self._held = "" if rest is None else rest
        if rest is not None:
            self._step = self._read_between
        return [CallArguments(self._count - 1, json)] if json else []

    def _read_between(self) -> list[Part] | None:
        return self._skip(self._betweens, self._read_name)

    def _read_nothing(self) -> list[Part] | None:
        self._held = ""
        return None

    def _skip(
        self, texts: Sequence[str], then: Callable[[], list[Part] | None]
    ) -> list[Part] | None:
        """Pass over one of some texts; what is none of them is the last, and nothing follows."""
        held = self._held
        if any(text.startswith(held) and text != held for text in texts):
            return None
        found = next((text for text in texts if held.startswith(text)), None)
        if found is None:
            self._step = self._read_nothing
            return []
        self._held = held[len(found) :]
        self._step = then
        return []


class JsonArguments:
    """Arguments that stand in the text as they are."""

    def __init__(self) -> None:
        self._object = JsonObject()

    def feed(self, text: str) -> tuple[str, str | None]:
        """As in ``ArgumentsReader``."""
        return self._object.feed(text)
