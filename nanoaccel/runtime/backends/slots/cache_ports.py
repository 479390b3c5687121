"""Where a graph takes keys or values, and gives them back."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.runtime.backends.slots.memory import CacheTensor


@dataclass(frozen=True, slots=True)
class CachePorts(CacheTensor):
    """Keys or values of a layer, on their way in and out.

    Args:
        heads: Heads of a token.
        width: Numbers of a head.
        dtype: Type of the numbers.
        past: Name of the input.
        present: Name of the output: the past, and the tokens of the pass behind it.
    """

    past: str
    present: str
