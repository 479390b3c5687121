"""Runs the graph of onnxruntime-genai's builder as it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nanoaccel.runtime.backends.onnxruntime.binding import Binding
from nanoaccel.runtime.backends.onnxruntime.runs import Run, plan_even_runs
from nanoaccel.runtime.backends.onnxruntime.signature import Signature
from nanoaccel.runtime.types.plan import StepPlan, StepResult


class PlainGraph:
    """Single tokens of neighbouring slots in one pass; longer pieces each in its own.

    It has no input that tells padding from tokens behind a past, and gives logits of all tokens.

    Args:
        binding: Binding of the session.
        signature: Signature of the graph.
    """

    def __init__(self, binding: Binding, signature: Signature) -> None:
        self._binding = binding
        self._signature = signature

    def forward(self, plan: StepPlan, slots: Sequence[int]) -> StepResult:
        """Compute a step, each sequence in its slot."""
        counts = np.diff(plan.seq_begins).tolist()
        logits = np.empty((len(plan.logits_rows), self._signature.vocab_size), np.float32)
        for run in plan_even_runs(slots, counts):
            self._run(plan, run, logits)
        return StepResult(logits)

    def _run(self, plan: StepPlan, run: Run, logits: np.ndarray) -> None:
        """Compute some sequences of equal length, and fill their rows of ``logits``."""
        begins = plan.seq_begins[list(run.sequences)]
        tokens = begins[:, None] + np.arange(run.longest)
        lengths = plan.past_lens[list(run.sequences)] + run.longest
        mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
        inputs = {"input_ids": plan.token_ids[tokens], "attention_mask": mask}
        if "position_ids" in self._signature.inputs:
            inputs["position_ids"] = plan.positions[tokens]
        shape = (*tokens.shape, self._signature.vocab_size)
        window = (run.first_slot, run.num_slots)
        found = self._binding.run(self._binding.prepare(window, inputs, {"logits": shape}))[
            "logits"
        ]
        flat = found.reshape(-1, shape[-1])
        order = {int(token): index for index, token in enumerate(tokens.reshape(-1))}
        for row, token in enumerate(plan.logits_rows.tolist()):
            if token in order:
                logits[row] = flat[order[token]]
