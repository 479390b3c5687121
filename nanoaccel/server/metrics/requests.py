"""How many requests came, by path and status."""

from __future__ import annotations

from collections import Counter

from starlette.types import Scope


class HttpCounts:
    """Counts answers by path and status; paths that are no fixed route count as one."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, int]] = Counter()

    def add(self, scope: Scope, status: int) -> None:
        """Note an answer; status 0 is none, as the client went away before it."""
        fixed = "endpoint" in scope and not scope.get("path_params")
        self._counts[scope["path"] if fixed else "other", status] += 1

    def items(self) -> list[tuple[str, int, int]]:
        """Path, status and count."""
        return [(path, status, count) for (path, status), count in sorted(self._counts.items())]
