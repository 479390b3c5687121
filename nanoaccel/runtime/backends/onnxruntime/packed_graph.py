"""Runs the graph that NanoAccel exports: tokens without padding, attention over slots."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.runtime.backends.onnxruntime.binding import Binding, BoundPass
from nanoaccel.runtime.backends.onnxruntime.pass_inputs import PassInputs
from nanoaccel.runtime.backends.onnxruntime.runs import Run, plan_runs
from nanoaccel.runtime.backends.onnxruntime.signature import Signature
from nanoaccel.runtime.types.plan import Float32Array, Int64Array, StepPlan, StepResult

_T = TypeVar("_T")
# Shapes of passes that are bound, and those that came once lately.
_KEPT = 32
_SEEN = 64


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A pass of a shape.

    Args:
        inputs: Arrays that its values are written to.
        bound: The same, with where it writes.
        rows: Rows of logits that are wanted.
    """

    inputs: PassInputs
    bound: BoundPass
    rows: int


class PackedGraph:
    """Ragged batches in one pass; those of very different lengths in several.

    Few shapes make up most passes: a token of each sequence, or one sequence with some guesses.
    What comes a second time is bound once for all, so that a pass only writes its values.

    All tokens of a pass stand one after the other. Only attention sees the rectangle of slots and
    places: its queries are gathered into it, and what it gives is gathered out of it.

    Args:
        binding: Binding of the session.
        signature: Signature of the graph.
        hidden: Layers whose output is told.
    """

    def __init__(self, binding: Binding, signature: Signature, hidden: Sequence[int]) -> None:
        self._binding = binding
        self._signature = signature
        self._hidden = [contract.hidden_name(layer) for layer in hidden]
        self._kept: OrderedDict[Hashable, _Prepared] = OrderedDict()
        self._seen: OrderedDict[Hashable, None] = OrderedDict()

    def forward(self, plan: StepPlan, slots: Sequence[int]) -> StepResult:
        """Compute a step, each sequence in its slot."""
        counts = np.diff(plan.seq_begins)
        shape = (tuple(slots), counts.tobytes(), plan.logits_rows.tobytes(), plan.states)
        kept = self._kept.get(shape)
        if kept is not None:
            self._kept.move_to_end(shape)
            kept.inputs.fill(plan, slice(None), slice(None))
            return self._run(kept)
        runs = plan_runs(slots, counts.tolist())
        if len(runs) > 1:
            return self._run_apart(plan, slots, runs)
        keep = shape in self._seen
        every = np.arange(len(slots)), np.arange(len(plan.token_ids))
        prepared = self._prepare(plan, slots, runs[0], *every, keep=keep)
        if keep:
            _note(self._kept, shape, prepared, _KEPT)
        else:
            _note(self._seen, shape, None, _SEEN)
        return self._run(prepared)

    def _run_apart(self, plan: StepPlan, slots: Sequence[int], runs: Sequence[Run]) -> StepResult:
        """Compute a step in several passes."""
        logits = np.empty((len(plan.logits_rows), self._signature.vocab_size), np.float32)
        width = len(self._hidden) * self._signature.hidden_size
        hidden = np.empty((len(plan.token_ids), width), np.float32) if self._hidden else None
        width = self._signature.state_size
        states = np.empty((len(plan.token_ids), width), np.float32) if plan.states else None
        for run in runs:
            chosen = [np.arange(*plan.seq_begins[s : s + 2]) for s in run.sequences]
            tokens = np.concatenate(chosen)
            result = self._run(self._prepare(plan, slots, run, np.array(run.sequences), tokens))
            logits[np.isin(plan.logits_rows, tokens)] = result.logits
            if hidden is not None:
                hidden[tokens] = result.hidden
            if states is not None:
                states[tokens] = result.states
        return StepResult(logits, hidden=hidden, states=states)

    def _prepare(
        self,
        plan: StepPlan,
        slots: Sequence[int],
        run: Run,
        order: NDArray[Any],
        tokens: Int64Array,
        *,
        keep: bool = False,
    ) -> _Prepared:
        """A pass over the sequences ``order``, whose tokens stand at ``tokens`` in the plan."""
        place = np.full(len(plan.token_ids), -1)
        place[tokens] = np.arange(len(tokens))
        wanted = place[plan.logits_rows]
        wanted = wanted[wanted >= 0]
        inputs = PassInputs(
            self._signature,
            run,
            np.array(slots)[order] - run.first_slot,
            np.diff(plan.seq_begins)[order],
            wanted,
            0 if plan.features is None else plan.features.shape[1],
        )
        inputs.fill(plan, order, tokens)
        rows = len(inputs.arrays[contract.LOGITS_ROWS])
        outputs: dict[str, tuple[int, ...]] = {
            contract.LOGITS: (1, rows, self._signature.vocab_size)
        }
        for name in self._hidden:
            outputs[name] = (1, len(tokens), self._signature.hidden_size)
        if plan.states:
            outputs[contract.STATES] = (1, len(tokens), self._signature.state_size)
        window = (run.first_slot, run.num_slots)
        # A binding of its own, as what is bound stays so: other passes do without the states.
        own = keep or plan.states
        bound = self._binding.prepare(window, inputs.arrays, outputs, keep=own)
        return _Prepared(inputs, bound, len(wanted))

    def _run(self, prepared: _Prepared) -> StepResult:
        found = self._binding.run(prepared.bound)
        states = found.get(contract.STATES)
        return StepResult(
            found[contract.LOGITS][0, : prepared.rows],
            hidden=self._hidden_of(found),
            states=None if states is None else states[0],
        )

    def _hidden_of(self, found: dict[str, Float32Array]) -> Float32Array | None:
        """What the asked layers gave, side by side."""
        if not self._hidden:
            return None
        states = [found[name][0] for name in self._hidden]
        return states[0] if len(states) == 1 else np.concatenate(states, axis=1)


def _note(known: OrderedDict[Hashable, _T], key: Hashable, value: _T, most: int) -> None:
    """Remember the latest few."""
    known[key] = value
    if len(known) > most:
        known.popitem(last=False)
