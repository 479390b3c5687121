"""Compressed weights that lie in a file: the system writes them out instead of holding them."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import openvino as ov

_SMALL = 1 << 16  # bytes of a tensor that is not worth pages of its own
_UNSIGNED = {16: np.uint16, 32: np.uint32, 64: np.uint64}


class MappedTensors:
    """Tensors over a file without a name, which is gone with the last of them.

    Tensors are allocated within a ``with`` block, and can be used as long as this object lives.

    Args:
        folder: A folder on a disk that has room for them.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._end = 0
        # A tensor of OpenVINO does not keep the memory that it was made over; by address.
        self._kept: dict[int, NDArray[np.uint8]] = {}

    def __enter__(self) -> MappedTensors:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()  # what is mapped stays

    def allocate(self, kind: ov.Type, shape: Sequence[int]) -> ov.Tensor:
        """A tensor to write into; a small one lies in memory.

        Args:
            kind: Type of its elements.
            shape: Its sizes.

        Raises:
            OSError: The disk is full.
        """
        import openvino as ov

        size = -(-math.prod(shape) * kind.bitwidth // 8)
        if size < _SMALL:
            return ov.Tensor(kind, ov.Shape(list(shape)))
        self._reserve(size)
        octets = np.frombuffer(mmap.mmap(self._file.fileno(), size, offset=self._end), np.uint8)
        self._end += -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        self._kept[octets.ctypes.data] = octets
        viewed = octets if kind.bitwidth <= 8 else octets.view(_UNSIGNED[kind.bitwidth])
        return ov.Tensor(viewed, ov.Shape(list(shape)), kind)

    def _reserve(self, size: int) -> None:
        """Let the file end behind the next tensor; a full disk is told now, and not by a signal."""
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file.fileno(), self._end, size)
        else:
            self._file.truncate(self._end + size)

    def move(self, constant: ov.Node) -> ov.Node:
        """Let what reads a constant read a copy in the file instead.

        Args:
            constant: A Constant; without other readers it is freed.

        Returns:
            The copy; a small constant stays what it is, and one that lies there already.
        """
        from openvino import opset13 as ops

        if constant.get_byte_size() < _SMALL or constant.data.ctypes.data in self._kept:
            return constant
        kind, shape = constant.get_element_type(), list(constant.get_output_shape(0))
        tensor = self.allocate(kind, shape)
        tensor.data.ravel().view(np.uint8)[:] = constant.data.ravel().view(np.uint8)
        copy = ops.constant(tensor)
        copy.set_friendly_name(constant.get_friendly_name())
        for reader in constant.output(0).get_target_inputs():
            reader.replace_source_output(copy.output(0))
        return copy
