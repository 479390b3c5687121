"""Finds which rows of which checkpoint tensors a matrix is made of, by the numbers themselves.

The builder packs projections into one, or splits them, as it likes, under names of its own. What
it made of them is not assumed but compared, number by number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nanoaccel.exporters.source.prequantized.tensor_files import TensorFiles

_SUFFIX = ".weight"
_PROBE = 4  # columns by which candidates are found
_CHUNK = 4096  # rows compared at once


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a module's matrix.

    Args:
        module: Its name.
        begin: The first row.
        rows: How many.
    """

    module: str
    begin: int
    rows: int


class WeightMatcher:
    """The matrices of a checkpoint, to find others in.

    Args:
        tensors: Tensors of the checkpoint.
        names: Names of those that are matrices.
    """

    def __init__(self, tensors: TensorFiles, names: Iterable[str]) -> None:
        self._tensors = tensors
        self._shapes: dict[str, tuple[int, int]] = {}
        self._probes: dict[str, NDArray[np.float32]] = {}
        for name in names:
            tensor = tensors[name]
            if name.endswith(_SUFFIX) and tensor.ndim == 2:
                self._shapes[name] = (tensor.shape[0], tensor.shape[1])
                self._probes[name] = _numpy(tensor[:, :_PROBE])

    def find(self, matrix: NDArray[np.float32]) -> list[Part] | None:
        """The parts that a matrix [out, in] consists of, in order; None when it is none of them."""
        parts: list[Part] = []
        row = 0
        while row < len(matrix):
            part = self._longest(matrix, row)
            if part is None:
                return None
            parts.append(part)
            row += part.rows
        return parts

    def _longest(self, matrix: NDArray[np.float32], row: int) -> Part | None:
        """The longest run of rows that begins like the matrix does at a row."""
        best: Part | None = None
        for name, (count, columns) in self._shapes.items():
            if columns != matrix.shape[1]:
                continue
            alike = (self._probes[name] == matrix[row, :_PROBE]).all(-1)
            for begin in np.flatnonzero(alike)[:16]:
                most = min(count - int(begin), len(matrix) - row)
                if best is not None and most <= best.rows:
                    continue
                rows = self._alike(name, int(begin), matrix[row : row + most])
                if rows > (0 if best is None else best.rows):
                    best = Part(name.removesuffix(_SUFFIX), int(begin), rows)
        return best

    def _alike(self, name: str, begin: int, rows: NDArray[np.float32]) -> int:
        """How many rows of a tensor, from one on, are those given."""
        tensor = self._tensors[name]
        for at in range(0, len(rows), _CHUNK):
            some = rows[at : at + _CHUNK]
            own = _numpy(tensor[begin + at : begin + at + len(some)])
            if not np.array_equal(own, some):
                return at + int((own != some).any(-1).argmax())
        return len(rows)


def _numpy(tensor: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.float().contiguous().numpy()
    return array
