"""Runs a graph whose attention has blocks: a step as it is, in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.runtime.backends.onnxruntime.growing_arrays import GrowingInput, GrowingOutput
from nanoaccel.runtime.backends.onnxruntime.operators import attention
from nanoaccel.runtime.backends.onnxruntime.signature import Signature
from nanoaccel.runtime.types.plan import StepPlan, StepResult

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
_ONE_ROW = np.zeros(1, np.int64)


class BlockGraph:
    """Ragged batches of any kind.

    Args:
        session: Session of the graph.
        signature: Signature of the graph.
        hidden: Layers whose output is told.
        cache: u8[blocks, bytes], which the graph reads and writes.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        signature: Signature,
        hidden: Sequence[int],
        cache: NDArray[np.uint8],
    ) -> None:
        self._session = session
        self._binding = binding = session.io_binding()
        self._inputs = [
            (
                field,
                GrowingInput(
                    binding,
                    name,
                    np.float32 if name == contract.FEATURES else np.int64,
                    batched=True,
                ),
            )
            for name, field in _OF_TOKENS.items()
            if name in signature.inputs
        ]
        self._inputs += [
            (field, GrowingInput(binding, name, np.int32, batched=False))
            for name, field in _OF_SEQUENCES.items()
        ]
        self._rows = GrowingInput(binding, contract.LOGITS_ROWS, np.int64, batched=False)
        self._logits = GrowingOutput(binding, contract.LOGITS, signature.vocab_size)
        self._hidden = [
            GrowingOutput(binding, contract.hidden_name(layer), signature.hidden_size)
            for layer in hidden
        ]
        binding.bind_input(attention.CACHE, "cpu", 0, cache.dtype, cache.shape, cache.ctypes.data)

    def forward(self, plan: StepPlan) -> StepResult:
        """Compute a step."""
        for field, memory in self._inputs:
            memory.fill(getattr(plan, field))
        wanted = len(plan.logits_rows)
        # A product of no row is not worth a special case to it.
        self._rows.fill(plan.logits_rows if wanted > 0 else _ONE_ROW)
        logits = self._logits.shape(max(wanted, 1))
        states = [output.shape(len(plan.token_ids)) for output in self._hidden]
        self.run()
        hidden = None
        if states:
            hidden = states[0] if len(states) == 1 else np.concatenate(states, axis=1)
        return StepResult(logits[:wanted], hidden=hidden)

    def run(self) -> None:
        """Run the graph on what is bound."""
        self._session.run_with_iobinding(self._binding)
