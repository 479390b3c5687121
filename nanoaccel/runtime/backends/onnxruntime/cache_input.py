"""Where a graph takes keys or values, and gives them back."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.runtime.backends.slots import CacheTensor


@dataclass(frozen=True, slots=True)
class CacheInput(CacheTensor):
    """A cache input of a graph, and the output that takes its memory.

    Args:
        heads: Heads of a token.
        width: Numbers of a head.
        dtype: Type of the numbers.
        past: Name of the input.
        present: Name of the output.
    """

    past: str
    present: str
