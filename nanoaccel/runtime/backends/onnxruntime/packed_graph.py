"""Runs the graph that NanoAccel exports: tokens without padding, attention over slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.backends.onnxruntime.binding import Binding
from nanoaccel.runtime.backends.onnxruntime.pass_inputs import PassInputs
from nanoaccel.runtime.backends.onnxruntime.runs import Run, plan_runs
from nanoaccel.runtime.backends.onnxruntime.signature import Signature
from nanoaccel.runtime.plan import Float32Array, Int64Array, StepPlan, StepResult


class PackedGraph:
    """Ragged batches in one pass; those of very different lengths in several.

    All tokens of a pass stand one after the other. Only attention sees the rectangle of slots and
    places: its queries are gathered into it, and what it gives is gathered out of it.

    Args:
        binding: Of the session.
        signature: Of the graph.
        hidden: Layers whose output is told.
    """

    def __init__(self, binding: Binding, signature: Signature, hidden: Sequence[int]) -> None:
        self._binding = binding
        self._signature = signature
        self._hidden = [f"hidden.{layer}" for layer in hidden]
        self._shape: tuple[object, ...] = ()
        self._latest: PassInputs | None = None

    def forward(self, plan: StepPlan, slots: Sequence[int]) -> StepResult:
        """Compute a step, each sequence in its slot."""
        counts = np.diff(plan.seq_begins)
        shape = (tuple(slots), counts.tobytes(), plan.logits_rows.tobytes())
        if shape == self._shape and self._latest is not None:  # mostly: one more token each
            self._latest.fill(plan, slice(None), slice(None))
            return self._result(self._binding.repeat(), len(plan.logits_rows))
        self._shape = ()
        runs = plan_runs(slots, counts.tolist())
        if len(runs) == 1:
            every = np.arange(len(slots)), np.arange(len(plan.token_ids))
            result = self._run(plan, slots, runs[0], *every)
            self._shape = shape
            return result
        logits = np.empty((len(plan.logits_rows), self._signature.vocab_size), np.float32)
        width = len(self._hidden) * self._signature.hidden_size
        hidden = np.empty((len(plan.token_ids), width), np.float32) if self._hidden else None
        for run in runs:
            chosen = [np.arange(*plan.seq_begins[s : s + 2]) for s in run.sequences]
            tokens = np.concatenate(chosen)
            result = self._run(plan, slots, run, np.array(run.sequences), tokens)
            logits[np.isin(plan.logits_rows, tokens)] = result.logits
            if hidden is not None:
                hidden[tokens] = result.hidden
        return StepResult(logits, hidden=hidden)

    def _run(
        self,
        plan: StepPlan,
        slots: Sequence[int],
        run: Run,
        order: NDArray[Any],
        tokens: Int64Array,
    ) -> StepResult:
        """Compute the sequences ``order``, whose tokens stand at ``tokens`` in the plan."""
        place = np.full(len(plan.token_ids), -1)
        place[tokens] = np.arange(len(tokens))
        wanted = place[plan.logits_rows]
        wanted = wanted[wanted >= 0]
        self._latest = inputs = PassInputs(
            self._signature,
            run,
            np.array(slots)[order] - run.first_slot,
            np.diff(plan.seq_begins)[order],
            wanted,
            0 if plan.features is None else plan.features.shape[1],
        )
        inputs.fill(plan, order, tokens)
        rows = len(inputs.arrays["logits_rows"])
        outputs: dict[str, tuple[int, ...]] = {"logits": (1, rows, self._signature.vocab_size)}
        for name in self._hidden:
            outputs[name] = (1, len(tokens), self._signature.hidden_size)
        window = (run.first_slot, run.num_slots)
        return self._result(self._binding.run(window, inputs.arrays, outputs), len(wanted))

    def _result(self, found: dict[str, Float32Array], rows: int) -> StepResult:
        return StepResult(found["logits"][0, :rows], hidden=self._states(found))

    def _states(self, found: dict[str, Float32Array]) -> Float32Array | None:
        """What the asked layers gave, side by side."""
        if not self._hidden:
            return None
        states = [found[name][0] for name in self._hidden]
        return states[0] if len(states) == 1 else np.concatenate(states, axis=1)
