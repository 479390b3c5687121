"""Runs the graph that NanoAccel exports: tokens without padding, attention over slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.backends.onnxruntime.binding import Binding
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

    def forward(self, plan: StepPlan, slots: Sequence[int]) -> StepResult:
        """Compute a step, each sequence in its slot."""
        runs = plan_runs(slots, np.diff(plan.seq_begins).tolist())
        if len(runs) == 1:
            order = np.arange(len(slots))
            return self._run(plan, slots, runs[0], order, np.arange(len(plan.token_ids)))
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
        inputs = self._inputs(plan, slots, run, tokens, order)
        # A product of no row is not worth a special case to it.
        inputs["logits_rows"] = wanted if len(wanted) > 0 else np.zeros(1, np.int64)
        rows = len(inputs["logits_rows"])
        outputs: dict[str, tuple[int, ...]] = {"logits": (1, rows, self._signature.vocab_size)}
        for name in self._hidden:
            outputs[name] = (1, len(tokens), self._signature.hidden_size)
        found = self._binding.run((run.first_slot, run.num_slots), inputs, outputs)
        return StepResult(found["logits"][0, : len(wanted)], hidden=self._states(found))

    def _inputs(
        self,
        plan: StepPlan,
        slots: Sequence[int],
        run: Run,
        tokens: Int64Array,
        order: NDArray[Any],
    ) -> dict[str, NDArray[Any]]:
        """All inputs but the cache and the wanted rows, for the sequences ``order``."""
        counts = np.diff(plan.seq_begins)[order]
        rows = np.array(slots)[order] - run.first_slot
        total = len(tokens)
        of_token = np.repeat(rows, counts)
        ends = np.cumsum(counts)
        place = np.arange(total) - np.repeat(ends - counts, counts)
        lengths = plan.past_lens[order] + counts
        shape = (run.num_slots, run.longest)
        query_map = np.zeros((*shape, 2), np.int64)
        query_map[of_token, place, 1] = np.arange(total)
        token_map = np.empty((1, total, 2), np.int64)
        token_map[0, :, 0], token_map[0, :, 1] = of_token, place
        cached = np.zeros(run.num_slots, np.int32)
        cached[rows] = lengths - 1
        new = np.zeros(run.num_slots, np.int32)
        new[rows] = counts
        positions = plan.positions[tokens]
        made: dict[str, NDArray[Any]] = {
            "input_ids": np.ascontiguousarray(plan.token_ids[tokens])[None],
            "query_map": query_map,
            "token_map": token_map,
            "seqlens_k": cached,
            "query_seqlens": new,
            "total_sequence_length": np.array(lengths.max(), np.int32),
        }
        if "row_positions" in self._signature.inputs:
            made["row_positions"] = row_positions = np.zeros(shape, np.int64)
            row_positions[of_token, place] = positions
        if "positions" in self._signature.inputs:
            made["positions"] = positions[None]
        if "features" in self._signature.inputs:
            assert plan.features is not None, "the graph of a head reads features"
            made["features"] = np.ascontiguousarray(plan.features[tokens])[None]
        return made

    def _states(self, found: dict[str, Float32Array]) -> Float32Array | None:
        """What the asked layers gave, side by side."""
        if not self._hidden:
            return None
        states = [found[name][0] for name in self._hidden]
        return states[0] if len(states) == 1 else np.concatenate(states, axis=1)
