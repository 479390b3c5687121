"""Reads Gemma's arguments, which have bare names and marked strings, into JSON."""

from __future__ import annotations

import json

from nanoaccel.server.chat.reading.marks import MarkScanner

QUOTE = '<|"|>'


class GemmaArguments:
    """Reads the arguments of one call, from behind the brace that opens them."""

    def __init__(self) -> None:
        self._quotes = MarkScanner([QUOTE])
        self._in_string = False
        self._open: list[str] = []
        self._name: str | None = None

    def feed(self, text: str) -> tuple[str, str | None]:
        """As in ``ArgumentsReader``."""
        made = ""
        if not self._open:
            made = self._enter("{")
        self._quotes.feed(text)
        while True:
            text, mark = self._quotes.next()
            if self._in_string:
                made += json.dumps(text, ensure_ascii=False)[1:-1]
            else:
                more, rest = self._outside(text)
                made += more
                if rest is not None:
                    return made, rest + ("" if mark is None else mark) + self._quotes.rest()
            if mark is None:
                return made, None
            self._in_string = not self._in_string
            made += '"'

    def _outside(self, text: str) -> tuple[str, str | None]:
        """JSON of text outside of strings, and what stands behind the last brace."""
        made = ""
        for place, sign in enumerate(text):
            if sign in "}]":
                self._open.pop()
                self._name = None
                made += sign
                if not self._open:
                    return made, text[place + 1 :]
            elif self._name is not None:
                if sign == ":":
                    made += f"{json.dumps(self._name, ensure_ascii=False)}: "
                    self._name = None
                else:
                    self._name += sign
            elif sign in "{[":
                made += self._enter(sign)
            elif sign == ",":
                made += ", "
                self._name = "" if self._open[-1] == "{" else None
            else:
                made += sign
        return made, None

    def _enter(self, sign: str) -> str:
        self._open.append(sign)
        self._name = "" if sign == "{" else None
        return sign
