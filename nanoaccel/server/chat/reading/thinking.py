"""Parts a model's thoughts from its answer."""

from __future__ import annotations

from nanoaccel.server.chat.parts import Part, Reasoning
from nanoaccel.server.chat.reading.marks import MarkScanner
from nanoaccel.server.chat.reading.reader import ReplyReader, Trimmed


class ThinkingReader:
    """Takes what stands between two marks at the beginning for thoughts.

    White space around the thoughts is left out.

    Args:
        begin: The mark before them.
        end: The mark behind them.
        is_open: Whether the prompt has the first mark already.
        inner: Reads the answer.
    """

    def __init__(self, begin: str, end: str, inner: ReplyReader, *, is_open: bool) -> None:
        self._begin = begin
        self._ends = MarkScanner([end])
        self._inner = inner
        self._thinks = is_open
        self._starts = True
        self._held = ""
        self._thoughts = Trimmed(Reasoning, skips_space=True)
        self._answers = False

    def feed(self, text: str) -> list[Part]:
        """As in ``ReplyReader``."""
        if self._starts:
            self._held += text
            begun = self._held.lstrip()
            if self._begin.startswith(begun) and begun != self._begin:
                return []
            text, self._held = self._held, ""
            self._starts = False
            if begun.startswith(self._begin):
                self._thinks = True
                text = begun[len(self._begin) :]
        return self._after_start(text)

    def _after_start(self, text: str) -> list[Part]:
        if not self._thinks:
            return self._answer(text)
        self._ends.feed(text)
        thought, mark = self._ends.next()
        parts = self._thoughts.feed(thought)
        if mark is not None:
            self._thinks = False
            self._answers = True
            parts += self._answer(self._ends.rest())
        return parts

    def _answer(self, text: str) -> list[Part]:
        """Pass on the answer; white space between it and thoughts is left out."""
        if self._answers:
            text = text.lstrip()
            self._answers = not text
        return self._inner.feed(text)

    def end(self, finish_reason: str) -> list[Part]:
        """As in ``ReplyReader``."""
        self._starts = False
        parts = self._after_start(self._held)
        if self._thinks:
            parts += self._thoughts.feed(self._ends.rest())
        return [*parts, *self._inner.end(finish_reason)]
