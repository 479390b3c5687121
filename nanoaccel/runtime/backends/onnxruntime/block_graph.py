"""Runs a graph whose attention has blocks: a step as it is, in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from nanoaccel.runtime.backends.onnxruntime.block_binding import BlockBinding
from nanoaccel.runtime.backends.onnxruntime.signature import Signature
from nanoaccel.runtime.types.plan import Float32Array, StepPlan, StepResult


class BlockGraph:
    """Ragged batches of any kind.

    Args:
        session: Session of the graph.
        signature: Signature of the graph.
        hidden: Layers whose output is told.
        cache: u8[blocks, bytes], which the graph reads and writes.
        recurrent: f32[states, numbers], likewise; None where it has no recurrent states.
        scores: Layers that tell what attention tokens draw: all of them, or 0.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        signature: Signature,
        hidden: Sequence[int],
        cache: NDArray[np.uint8],
        recurrent: Float32Array | None = None,
        scores: int = 0,
    ) -> None:
        self._session = session
        # What is bound stays so: passes that tell states have a binding of their own.
        self._bindings = {
            states: BlockBinding(
                session, signature, hidden, cache, recurrent, scores, states=states
            )
            for states in ((False, True) if signature.state_size > 0 else (False,))
        }

    def forward(self, plan: StepPlan) -> StepResult:
        """Compute a step."""
        bound = self._bindings[plan.states]
        bound.fill(plan)
        self.run(bound.binding)
        return bound.result(plan)

    def run(self, binding: ort.IOBinding) -> None:
        """Run the graph on what is bound."""
        self._session.run_with_iobinding(binding)
