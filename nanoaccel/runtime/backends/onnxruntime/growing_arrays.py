"""Arrays of a session that have another length in most passes; only a larger one allocates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray


class GrowingInput:
    """An input, which is bound anew only when its shape is another one.

    Args:
        binding: Binding of the session.
        name: Name of the input.
        dtype: Type of its numbers.
        batched: Whether an axis of one stands in front of the others.
    """

    def __init__(
        self, binding: ort.IOBinding, name: str, dtype: type[np.generic], *, batched: bool
    ) -> None:
        self._binding = binding
        self._name = name
        self._batched = batched
        self._memory: NDArray[Any] = np.empty(0, dtype)
        self._bound: NDArray[Any] | None = None

    def fill(self, array: NDArray[Any]) -> None:
        """Write the values of a pass."""
        if self._bound is None or self._bound.shape != array.shape:
            if array.size > self._memory.size:
                self._memory = np.empty(2 * array.size, self._memory.dtype)
            self._bound = self._memory[: array.size].reshape(array.shape)
            shape = (1, *array.shape) if self._batched else array.shape
            dtype, address = self._memory.dtype, self._memory.ctypes.data
            self._binding.bind_input(self._name, "cpu", 0, dtype, shape, address)
        self._bound[...] = array


class GrowingOutput:
    """An output of [1, rows, width], or of [rows].

    Args:
        binding: Binding of the session.
        name: Name of the output.
        width: Numbers of a row; None for an output of one axis.
        dtype: Type of its numbers.
    """

    def __init__(
        self,
        binding: ort.IOBinding,
        name: str,
        width: int | None = None,
        dtype: type[np.generic] = np.float32,
    ) -> None:
        self._binding = binding
        self._name = name
        self._width = width
        self._memory: NDArray[Any] = np.empty(0, dtype)
        self._bound: NDArray[Any] | None = None

    def reserve(self, rows: int) -> None:
        """Make room for what a pass writes."""
        if self._bound is not None and rows == len(self._bound):
            return
        shape = (rows,) if self._width is None else (rows, self._width)
        size = math.prod(shape)
        if size > self._memory.size:
            self._memory = np.empty(size, self._memory.dtype)
        self._bound = self._memory[:size].reshape(shape)
        shape, address = shape if self._width is None else (1, *shape), self._memory.ctypes.data
        self._binding.bind_output(self._name, "cpu", 0, self._memory.dtype, shape, address)

    @property
    def values(self) -> NDArray[Any]:
        """What the last pass wrote: [rows, width] or [rows], valid until the next one."""
        assert self._bound is not None, "nothing was computed"
        return self._bound
