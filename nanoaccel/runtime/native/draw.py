"""Draws tokens with the compiled library."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.native.library import find_operators

_INT, _DOUBLE = ctypes.c_int64, ctypes.c_double


class NativeDraw:
    """Draws a token of a row of logits.

    Args:
        library: The compiled operators.
    """

    def __init__(self, library: Path) -> None:
        # It takes some 20 us: too short to let other threads run, which would then have to end.
        self._draw = ctypes.PyDLL(str(library)).nanoaccel_draw
        self._draw.restype = _INT
        self._draw.argtypes = [
            ctypes.c_void_p, *(_INT, _INT), _DOUBLE, _INT, *(_DOUBLE, _DOUBLE, _DOUBLE)
        ]  # fmt: skip

    def __call__(
        self,
        row: NDArray[np.float32],
        likeliest: int,
        scale: float,
        top_k: int,
        top_p: float,
        min_p: float,
        uniform: float,
    ) -> int:
        """The token that a number in [0, 1) selects.

        Args:
            row: f32[V], contiguous.
            likeliest: Index of its largest number, of equal ones any; -1 searches it.
            scale: One by the temperature, finite in f32.
            top_k: 0 keeps all.
            top_p: 1 keeps all.
            min_p: 0 keeps all.
            uniform: In [0, 1).

        Returns:
            Its id; -1 when the largest number is not finite.
        """
        found: int = self._draw(
            row.ctypes.data, row.size, likeliest, scale, top_k, top_p, min_p, uniform
        )
        return found


@cache
def native_draw() -> NativeDraw | None:
    """What draws tokens here; None without the operators."""
    library = find_operators().library
    return None if library is None else NativeDraw(library)
