"""Finds the end of a JSON object that comes in pieces."""

from __future__ import annotations

import re

_OUTSIDE = re.compile(r'["{}\[\]]')
_INSIDE = re.compile(r'["\\]')


class JsonObject:
    """Takes text up to the brace that ends an object."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._is_escaped = False

    def feed(self, text: str) -> tuple[str, str | None]:
        """What of a text belongs to the object, and what stands behind it; None before its end."""
        place = 0
        while place < len(text):
            if self._is_escaped:
                self._is_escaped = False
                place += 1
                continue
            found = (_INSIDE if self._in_string else _OUTSIDE).search(text, place)
            if found is None:
                break
            place = found.end()
            sign = found[0]
            if sign == '"':
                self._in_string = not self._in_string
            elif sign == "\\":
                self._is_escaped = True
            else:
                self._depth += 1 if sign in "{[" else -1
                if self._depth == 0:
                    return text[:place], text[place:]
        return text, None
