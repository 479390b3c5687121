"""Binds memory to the inputs and outputs of a session, and runs it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from nanoaccel.runtime.backends.onnxruntime.cache_input import CacheInput
from nanoaccel.runtime.backends.slot_memory import CacheSlots
from nanoaccel.runtime.plan import Float32Array

# Windows of slots whose bindings are kept.
_KEPT = 16


class Binding:
    """A session with its cache; past and present are the same memory, so nothing is copied.

    Args:
        session: Of the graph.
        caches: Its cache inputs.
        slots: Their memory.
    """

    def __init__(
        self, session: ort.InferenceSession, caches: Sequence[CacheInput], slots: CacheSlots
    ) -> None:
        self._session = session
        self._caches = caches
        self._slots = slots
        self._windows: OrderedDict[tuple[int, int], ort.IOBinding] = OrderedDict()
        self._outputs: dict[str, Float32Array] = {}
        self._latest: tuple[ort.IOBinding, dict[str, Float32Array]]

    def run(
        self,
        window: tuple[int, int],
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, tuple[int, ...]],
    ) -> dict[str, Float32Array]:
        """Run the graph on some slots.

        Args:
            window: The first slot and how many.
            inputs: All but the cache.
            outputs: Shapes of those that are wanted, f32; the cache is always written.

        Returns:
            The outputs, in memory that is valid until the next call.
        """
        binding = self._window(window)
        for name, array in inputs.items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        given = {}
        for name, shape in outputs.items():
            given[name] = array = self._output(name, shape)
            binding.bind_output(name, "cpu", 0, np.float32, shape, array.ctypes.data)
        self._latest = binding, given
        return self.repeat()

    def repeat(self) -> dict[str, Float32Array]:
        """Run again on what was bound last, in which there may be other values."""
        binding, given = self._latest
        self._session.run_with_iobinding(binding)
        return given

    def _window(self, window: tuple[int, int]) -> ort.IOBinding:
        binding = self._windows.get(window)
        if binding is not None:
            self._windows.move_to_end(window)
            return binding
        binding = self._session.io_binding()
        first, count = window
        for item, tensor in zip(self._caches, self._slots.tensors, strict=True):
            rows = tensor[first : first + count]
            place = ("cpu", 0, item.dtype, rows.shape, rows.ctypes.data)
            binding.bind_input(item.past, *place)
            binding.bind_output(item.present, *place)
        self._windows[window] = binding
        if len(self._windows) > _KEPT:
            self._windows.popitem(last=False)
        return binding

    def _output(self, name: str, shape: tuple[int, ...]) -> Float32Array:
        """Memory for an output; it grows, and never shrinks."""
        size = int(np.prod(shape))
        memory = self._outputs.get(name)
        if memory is None or memory.size < size:
            memory = self._outputs[name] = np.empty(max(size, 1), np.float32)
        return memory[:size].reshape(shape)
