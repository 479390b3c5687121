"""What requests ask of a graph, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """Requests that run, or could run now.

    Args:
        requests: How many.
        computed: Tokens of theirs that are computed, in the graph where they run.
        pending: Tokens that are known and not computed.
    """

    requests: int
    computed: int
    pending: int
