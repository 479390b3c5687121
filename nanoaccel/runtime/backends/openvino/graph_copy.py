"""A compiled graph with its one inference request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from nanoaccel.runtime.backends.openvino.adapters.inputs import AdapterInputs
from nanoaccel.runtime.backends.openvino.adapters.memory import AdapterMemory
from nanoaccel.runtime.backends.openvino.cache_inputs import CacheInput
from nanoaccel.runtime.backends.openvino.step_inputs import StepInputs
from nanoaccel.runtime.types.plan import StepPlan


class GraphCopy:
    """Runs steps, one at a time.

    Args:
        compiled: The graph.
        adapters: Holds what its inputs of adapters are; None where it has no such inputs.

    Attributes:
        request: Holds the outputs of the last step.
        num_tokens: Tokens of the last step, with those that it was padded with.
    """

    def __init__(self, compiled: ov.CompiledModel, adapters: AdapterMemory | None = None) -> None:
        self.request = compiled.create_infer_request()
        self.num_tokens = 0
        self._inputs = StepInputs(self.request, compiled.inputs)
        self._adapters: AdapterInputs | None = None
        if adapters is not None:
            self._adapters = AdapterInputs(self.request, compiled.inputs, adapters)

    def bind(self, caches: Sequence[CacheInput], slices: Sequence[NDArray[np.uint8]]) -> None:
        """Let the graph work on a cache.

        Args:
            caches: The graph's cache inputs: keys and values, then recurrent states.
            slices: u8[num_blocks, size] for each; the last block, and the last state, takes what
                passes are padded with.
        """
        self._inputs.spare_block = len(slices[0]) - 1
        self._inputs.spare_state = len(slices[-1]) - 1
        for cache, memory in zip(caches, slices, strict=True):
            shape = (len(memory), *cache.block_shape)
            self.request.set_input_tensor(cache.index, ov.Tensor(memory, shape, cache.element_type))

    def run(self, plan: StepPlan) -> None:
        """Compute a step."""
        self._inputs.set(plan)
        if self._adapters is not None:
            self._adapters.set(plan)
        self.num_tokens = plan.num_computed
        self.request.infer(share_outputs=True)
