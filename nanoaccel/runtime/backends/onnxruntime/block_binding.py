"""Inputs and outputs of a graph whose attention has blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.runtime.backends.onnxruntime.growing_arrays import GrowingInput, GrowingOutput
from nanoaccel.runtime.backends.onnxruntime.operators import attention
from nanoaccel.runtime.backends.onnxruntime.operators.adapters import ADAPTER_INPUTS
from nanoaccel.runtime.backends.onnxruntime.operators.likeliest import LIKELIEST
from nanoaccel.runtime.backends.onnxruntime.signature import Signature
from nanoaccel.runtime.types.plan import Float32Array, Int64Array, StepPlan, StepResult

# Inputs, and the fields of a plan that they are.
_OF_TOKENS = {
    contract.INPUT_IDS: "token_ids",
    contract.POSITIONS: "positions",
    contract.FEATURES: "features",  # of a head
}
_OF_SEQUENCES = {
    attention.SEQ_BEGINS: "seq_begins",
    attention.PAST_LENS: "past_lens",
    attention.BLOCK_IDS: "block_ids",
    attention.BLOCK_BEGINS: "block_begins",
}
# The same of the table of recurrent states.
_OF_STATES = {
    contract.STATE_SLOTS: "slots",
    contract.STATE_BEGINS: "begins",
    contract.STATE_INTERVALS: "intervals",
    contract.STATE_OFFSETS: "offsets",
}
_ONE_ROW = np.zeros(1, np.int64)
_NO_SLOTS = np.zeros(0, np.int32)


class BlockBinding:
    """Where passes read and write.

    Args:
        session: Session of the graph.
        signature: Signature of the graph.
        hidden: Layers whose output is told.
        cache: u8[blocks, bytes], which the graph reads and writes.
        recurrent: f32[states, numbers], which the graph reads and writes; None without states.
        scores: Layers that tell what attention tokens draw.
        states: Whether the states of tokens are told.

    Attributes:
        binding: As the session takes it.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        signature: Signature,
        hidden: Sequence[int],
        cache: NDArray[np.uint8],
        recurrent: Float32Array | None,
        scores: int,
        *,
        states: bool,
    ) -> None:
        self.binding = binding = session.io_binding()
        self._inputs: list[tuple[str, GrowingInput]] = []
        for name, field in _OF_TOKENS.items():
            if name in signature.inputs:
                dtype = np.float32 if name == contract.FEATURES else np.int64
                self._inputs.append((field, GrowingInput(binding, name, dtype, batched=True)))
        for name, field in _OF_SEQUENCES.items():
            self._inputs.append((field, GrowingInput(binding, name, np.int32, batched=False)))
        self._adapters = [
            GrowingInput(binding, name, np.int32, batched=False)
            for name in ADAPTER_INPUTS
            if name in signature.inputs
        ]
        self._rows = GrowingInput(binding, contract.LOGITS_ROWS, np.int64, batched=False)
        self._logits = GrowingOutput(binding, contract.LOGITS, signature.vocab_size)
        self._likeliest = GrowingOutput(binding, LIKELIEST, dtype=np.int64)
        self._hidden = [
            GrowingOutput(binding, contract.hidden_name(layer), signature.hidden_size)
            for layer in hidden
        ]
        self._states = (
            GrowingOutput(binding, contract.STATES, signature.state_size) if states else None
        )
        self._scores = [
            GrowingOutput(binding, attention.scores_name(layer), dtype=np.float64)
            for layer in range(scores)
        ]
        self._joined = np.empty((0, len(hidden) * signature.hidden_size), np.float32)
        address = cache.ctypes.data
        binding.bind_input(attention.CACHE, "cpu", 0, cache.dtype, cache.shape, address)
        self._recurrent: list[tuple[str, GrowingInput]] = []
        if recurrent is not None:
            given = (recurrent.dtype, recurrent.shape, recurrent.ctypes.data)
            binding.bind_input(contract.RECURRENT_STATES, "cpu", 0, *given)
            self._recurrent = [
                (field, GrowingInput(binding, name, np.int32, batched=False))
                for name, field in _OF_STATES.items()
            ]

    def fill(self, plan: StepPlan) -> None:
        """Write the values of a step, and make room for what it gives."""
        for field, memory in self._inputs:
            memory.fill(getattr(plan, field))
        for field, memory in self._recurrent:
            memory.fill(getattr(plan.recurrent, field))
        wanted = len(plan.logits_rows)
        # A product of no row is not worth a special case to it.
        rows = plan.logits_rows if wanted > 0 else _ONE_ROW
        self._rows.fill(rows)
        if self._adapters:
            self._fill_adapters(plan, rows)
        self._logits.reserve(max(wanted, 1))
        self._likeliest.reserve(max(wanted, 1))
        for output in (*self._hidden, self._states):
            if output is not None:
                output.reserve(len(plan.token_ids))
        for output in self._scores:
            output.reserve(len(plan.token_ids) + int(plan.past_lens.sum()))

    def _fill_adapters(self, plan: StepPlan, rows: Int64Array) -> None:
        """Write the slots of all tokens, and of those whose logits are given."""
        of_tokens, of_logits = self._adapters
        slots = _NO_SLOTS
        if plan.adapters is not None:
            slots = np.repeat(plan.adapters, np.diff(plan.seq_begins))
        of_tokens.fill(slots)
        of_logits.fill(slots if plan.adapters is None else slots[rows])

    def result(self, plan: StepPlan) -> StepResult:
        """What the step gave, in memory that is valid until the next one."""
        states = None if self._states is None else self._states.values
        told = [output.values for output in self._scores]
        scores = np.sum(told, axis=0) if told else None
        rows = len(plan.logits_rows)
        return StepResult(
            self._logits.values[:rows],
            scores,
            hidden=self._told(),
            states=states,
            likeliest=self._likeliest.values[:rows],
        )

    def _told(self) -> Float32Array | None:
        """The output of the layers that are told, side by side."""
        found = [output.values for output in self._hidden]
        if len(found) < 2:
            return found[0] if found else None
        rows = len(found[0])
        if rows > len(self._joined):
            self._joined = np.empty((rows, self._joined.shape[1]), np.float32)
        return np.concatenate(found, axis=1, out=self._joined[:rows])
