"""Binds memory to the inputs and outputs of a session, and runs it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from nanoaccel.runtime.backends.slots import CachePorts, SlotMemory
from nanoaccel.runtime.types.plan import Float32Array

# Windows of slots whose bindings are kept.
_KEPT = 16


@dataclass(frozen=True, slots=True)
class BoundPass:
    """A pass whose memory is bound.

    Args:
        binding: To its inputs and outputs.
        outputs: Where those are written that are wanted.
    """

    binding: ort.IOBinding
    outputs: dict[str, Float32Array]


class Binding:
    """A session with its cache; past and present are the same memory, so nothing is copied.

    Args:
        session: Session of the graph.
        caches: Its cache inputs.
        slots: Their memory.
    """

    def __init__(
        self, session: ort.InferenceSession, caches: Sequence[CachePorts], slots: SlotMemory
    ) -> None:
        self._session = session
        self._caches = caches
        self._slots = slots
        self._windows: OrderedDict[tuple[int, int], ort.IOBinding] = OrderedDict()
        self._outputs: dict[str, Float32Array] = {}

    def prepare(
        self,
        window: tuple[int, int],
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, tuple[int, ...]],
        *,
        keep: bool = False,
    ) -> BoundPass:
        """Bind a pass on some slots.

        Args:
            window: The first slot and how many.
            inputs: All but the cache; they must live as long as the pass is run.
            outputs: Shapes of those that are wanted, f32; the cache is always written.
            keep: Whether it shall be good for more than the next pass: that takes longer, as the
                cache is bound for it alone.
        """
        binding = self._with_cache(window) if keep else self._window(window)
        for name, array in inputs.items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        given = {}
        for name, shape in outputs.items():
            given[name] = array = self._output(name, shape)
            binding.bind_output(name, "cpu", 0, np.float32, shape, array.ctypes.data)
        return BoundPass(binding, given)

    def run(self, bound: BoundPass) -> dict[str, Float32Array]:
        """Run the graph on what is bound.

        Returns:
            The outputs, in memory that is valid until the next call.
        """
        self._session.run_with_iobinding(bound.binding)
        return bound.outputs

    def _window(self, window: tuple[int, int]) -> ort.IOBinding:
        """The binding that passes over some slots share."""
        binding = self._windows.get(window)
        if binding is not None:
            self._windows.move_to_end(window)
            return binding
        self._windows[window] = binding = self._with_cache(window)
        if len(self._windows) > _KEPT:
            self._windows.popitem(last=False)
        return binding

    def _with_cache(self, window: tuple[int, int]) -> ort.IOBinding:
        binding = self._session.io_binding()
        first, count = window
        for item, tensor in zip(self._caches, self._slots.tensors, strict=True):
            rows = tensor[first : first + count]
            buffer = ("cpu", 0, item.dtype, rows.shape, rows.ctypes.data)
            binding.bind_input(item.past, *buffer)
            binding.bind_output(item.present, *buffer)
        return binding

    def _output(self, name: str, shape: tuple[int, ...]) -> Float32Array:
        """Memory for an output; it grows, and never shrinks."""
        size = int(np.prod(shape))
        memory = self._outputs.get(name)
        if memory is None or memory.size < size:
            memory = self._outputs[name] = np.empty(max(size, 1), np.float32)
        return memory[:size].reshape(shape)
