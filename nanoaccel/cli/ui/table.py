"""Values in aligned columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest


def table(rows: Sequence[Sequence[str]], indent: int = 0) -> str:
    """The rows as lines; control characters of foreign values are shown escaped."""
    cells = [[_plain(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip_longest(*cells, fillvalue="")]
    return "\n".join(
        (" " * indent + "  ".join(f"{v:<{w}}" for v, w in zip(row, widths, strict=False))).rstrip()
        for row in cells
    )


def named_rows(name: str, values: Sequence[str]) -> list[tuple[str, str]]:
    """A row for each value, the name in front of the first."""
    return [(name if row == 0 else "", value) for row, value in enumerate(values)]


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
