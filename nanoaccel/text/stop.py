"""Stop strings, found in text that comes in pieces."""

from __future__ import annotations

import re
from collections.abc import Sequence


class StopMatcher:
    """Passes text on until a stop string stands in it.

    The stop string that starts first wins; of several that start there, the shortest. So the
    result depends on the text alone, not on how it was cut into pieces.

    Args:
        stops: The stop strings, none of them empty; without any, text passes as it is.

    Attributes:
        matched: The stop string that ended the text; None before. When the text ends within a
            possible longer match, `flush` is what settles it.
    """

    __slots__ = ("_first_characters", "_held", "_longest", "_pattern", "_stops", "matched")

    def __init__(self, stops: Sequence[str]) -> None:
        self.matched: str | None = None
        self._stops = tuple(stops)
        self._held = ""
        self._longest = max(map(len, stops), default=0)
        self._first_characters = frozenset(stop[0] for stop in stops)
        # A pattern takes the first alternative that fits, so the shortest must stand first.
        alternatives = "|".join(re.escape(stop) for stop in sorted(stops, key=len))
        self._pattern = re.compile(alternatives) if stops else None

    def push(self, text: str) -> str:
        """The text that may be shown after `text` came; nothing once a stop string matched."""
        if self._pattern is None:
            return text
        if self.matched is not None:
            return ""
        text = self._held + text
        found = self._pattern.search(text)
        end = len(text) if found is None else found.start()
        start = self._open_start(text, end)
        if start < end:
            self._held = text[start:]
            return text[:start]
        self._held = ""
        if found is not None:
            self.matched = found.group()
        return text[:end]

    def flush(self) -> str:
        """The text that was held back, at the end of all text."""
        text, self._held = self._held, ""
        if self._pattern is None or self.matched is not None:
            return ""
        found = self._pattern.search(text)
        if found is None:
            return text
        self.matched = found.group()
        return text[: found.start()]

    def _open_start(self, text: str, end: int) -> int:
        """The first place before `end` from which more text could make a stop string."""
        for start in range(max(0, len(text) - self._longest + 1), end):
            if text[start] in self._first_characters:
                tail = text[start:]
                if any(stop.startswith(tail) for stop in self._stops):
                    return start
        return end
