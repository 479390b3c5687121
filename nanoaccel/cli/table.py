"""Names and values in two aligned columns."""

from __future__ import annotations

from collections.abc import Sequence


def table(rows: Sequence[tuple[str, str]], indent: int = 0) -> str:
    """The rows as lines; control characters of foreign values are shown escaped."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(
        (" " * indent + f"{_plain(name):<{width}}  {_plain(value)}").rstrip()
        for name, value in rows
    )


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
