"""Gives the adapters of a pass to the graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openvino as ov

from nanoaccel.runtime.backends.openvino.adapters.graph import DOWN, RANKS, UP
from nanoaccel.runtime.backends.openvino.adapters.memory import (
    AdapterMemory,
    PassRanks,
    RankSpan,
)
from nanoaccel.runtime.types.plan import Float32Array, StepPlan

# Times the ranks of a pass that are read at most before the inputs are bound anew.
_MOST_WASTE = 2


class AdapterInputs:
    """The inputs of a graph's adapters. Thin matrices are bound as they lie in memory.

    Args:
        request: What runs the graph.
        inputs: The graph's inputs.
        memory: Holds the adapters.
    """

    def __init__(
        self, request: ov.InferRequest, inputs: Sequence[ov.Output], memory: AdapterMemory
    ) -> None:
        names = [value.get_any_name() for value in inputs]
        self._request = request
        self._memory = memory
        self._ranks = names.index(RANKS)
        # In the order in which they were added.
        self._thin = [
            index for index, name in enumerate(names) if name.startswith((f"{DOWN}.", f"{UP}."))
        ]
        self._tables: Sequence[Float32Array] = ()
        self._bound = RankSpan(0, 0)
        self._held: list[Float32Array] = []
        self._mask = np.empty(0, np.float32)

    def set(self, plan: StepPlan) -> None:
        """Let the graph compute a step with the adapters of its sequences."""
        needed = self._memory.of_pass(plan.adapters, len(plan.past_lens))
        hull = needed.hull
        if needed.tables is not self._tables or not self._serves(hull):
            self._bind(needed.tables, hull)
        self._set_ranks(plan, needed)

    def _serves(self, hull: RankSpan) -> bool:
        """Whether what is bound has all ranks, and not many more."""
        if hull.size == 0:
            return self._bound.size == 0
        bound = self._bound
        covers = bound.begin <= hull.begin and hull.end <= bound.end
        return covers and bound.size <= _MOST_WASTE * hull.size

    def _bind(self, tables: Sequence[Float32Array], span: RankSpan) -> None:
        self._tables, self._bound = tables, span
        held = [table[span.begin : span.end] for table in tables]
        for index, rows in zip(self._thin, held, strict=True):
            flat = rows.reshape(-1, rows.shape[-1])
            self._request.set_input_tensor(index, ov.Tensor(flat, shared_memory=True))
        self._held = held  # a tensor does not hold the memory that it shares

    def _set_ranks(self, plan: StepPlan, needed: PassRanks) -> None:
        """Write 1 where a rank belongs to the adapter of a token, else 0."""
        shape = (plan.num_computed, self._bound.size)
        size = shape[0] * shape[1]
        if size > len(self._mask):
            self._mask = np.empty(2 * size, np.float32)
        mask = self._mask[:size].reshape(shape)
        mask[...] = 0
        begins = plan.seq_begins.tolist()
        for sequence, span in enumerate(needed.spans):
            rows = slice(begins[sequence], begins[sequence + 1])
            mask[rows, span.begin - self._bound.begin : span.end - self._bound.begin] = 1
        self._request.set_input_tensor(self._ranks, ov.Tensor(mask, shared_memory=True))
