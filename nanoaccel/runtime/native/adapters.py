"""Adapters that the operators of a session compute with, in slots of a table of the library."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FLOATS = ctypes.POINTER(ctypes.c_float)
_F32, _INT8 = 0, 1  # formats, as low_rank/kernels.h numbers them
_PROBLEM_BYTES = 256


@dataclass(frozen=True, slots=True, eq=False)
class UpdatePart:
    """The update of some rows of a matrix.

    Args:
        begin: The first of these rows.
        down: f32 [rank, inputs].
        up: f32 [rows, rank].
    """

    begin: int
    down: NDArray[np.float32]
    up: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class MatrixUpdate:
    """The update of a matrix.

    Args:
        matrix: Its number, as its node has it.
        inputs: Its columns.
        outputs: Its rows.
        gated: Whether the first half of the rows are gates.
        exact: Whether numbers are kept in f32; else in int8, with scales for each rank.
        parts: In the order of their rows.
    """

    matrix: int
    inputs: int
    outputs: int
    gated: bool
    exact: bool
    parts: Sequence[UpdatePart]


class _Part(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("begin", "outputs", "rank")),
        ("down", _FLOATS),
        ("up", _FLOATS),
    )


class _Update(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("matrix", "inputs", "outputs", "gated", "format")),
        ("parts", ctypes.POINTER(_Part)),
        ("parts_size", ctypes.c_int64),
    )


class NativeAdapters:
    """A table, which sessions know by its number; a pass may run while others load or unload.

    Args:
        library: The compiled operators.

    Attributes:
        number: What nodes of a graph call it by.
    """

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.nanoaccel_adapters_create.restype = ctypes.c_int64
        self.number: int = self._library.nanoaccel_adapters_create()

    def load(self, slot: int, updates: Sequence[MatrixUpdate]) -> None:
        """Copy an adapter into a slot that is free.

        Raises:
            ValueError: The slot is not free, or the numbers are such that they cannot be kept.
        """
        given = (_Update * len(updates))(*map(_update, updates))
        problem = ctypes.create_string_buffer(_PROBLEM_BYTES)
        loaded = self._library.nanoaccel_adapters_load(
            ctypes.c_int64(self.number),
            ctypes.c_int64(slot),
            given,
            ctypes.c_int64(len(given)),
            problem,
            ctypes.c_int64(_PROBLEM_BYTES),
        )
        if not loaded:
            raise ValueError(problem.value.decode())

    def unload(self, slot: int) -> None:
        """Free a slot and its memory, behind the pass that uses it.

        Raises:
            ValueError: The slot is free.
        """
        problem = ctypes.create_string_buffer(_PROBLEM_BYTES)
        unloaded = self._library.nanoaccel_adapters_unload(
            ctypes.c_int64(self.number),
            ctypes.c_int64(slot),
            problem,
            ctypes.c_int64(_PROBLEM_BYTES),
        )
        if not unloaded:
            raise ValueError(problem.value.decode())

    def close(self) -> None:
        """Free all, as soon as no session has it. Calling it twice is fine."""
        self._library.nanoaccel_adapters_free(ctypes.c_int64(self.number))


def _update(update: MatrixUpdate) -> _Update:
    parts = (_Part * len(update.parts))(*(_part(update, part) for part in update.parts))
    exact = _F32 if update.exact else _INT8
    sizes = (update.matrix, update.inputs, update.outputs, update.gated, exact)
    return _Update(*sizes, parts, len(parts))


def _part(update: MatrixUpdate, part: UpdatePart) -> _Part:
    rank = len(part.down)
    assert part.down.shape == (rank, update.inputs), "down is [rank, inputs]"
    assert part.up.ndim == 2, "up is [rows, rank]"
    assert part.up.shape[1] == rank, "up is [rows, rank]"
    return _Part(part.begin, len(part.up), rank, _pointer(part.down), _pointer(part.up))


def _pointer(array: NDArray[np.float32]) -> ctypes._Pointer[ctypes.c_float]:
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    return array.ctypes.data_as(_FLOATS)
