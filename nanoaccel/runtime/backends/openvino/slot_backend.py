"""Runs steps one sequence after another, on a graph that is given each one's keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from nanoaccel.bundle.long_factors import LongFactors
from nanoaccel.runtime.backends.base import BackendInfo
from nanoaccel.runtime.backends.openvino.hidden_states import STATES, hidden_outputs
from nanoaccel.runtime.backends.openvino.operator_times import OperatorTimes
from nanoaccel.runtime.backends.openvino.paged_graph import LOGITS_ROWS
from nanoaccel.runtime.backends.openvino.stateless_graph import MASK, POSITIONS, TOKENS
from nanoaccel.runtime.backends.slots import CachePorts, SlotMemory, Slotted
from nanoaccel.runtime.backends.timed import Timed
from nanoaccel.runtime.types.plan import Int64Array, StepPlan, StepResult

_BLOCK_SIZE = 32


@dataclass(frozen=True, slots=True)
class _Piece:
    """Tokens of a sequence.

    Args:
        token_ids: i64[T].
        positions: i64[T].
        rows: i64[R], those whose logits are wanted.
        past: Keys and values of the tokens before, [1, heads, past, width] each.
    """

    token_ids: Int64Array
    positions: Int64Array
    rows: Int64Array
    past: Sequence[NDArray[np.generic]]

    @property
    def length(self) -> int:
        """Tokens of the sequence behind the pass."""
        return int(self.past[0].shape[2]) + len(self.token_ids)


class _Graph:
    """A compiled graph with its one inference request.

    Attributes:
        request: Holds the outputs of the last pass.
    """

    def __init__(self, compiled: ov.CompiledModel, caches: Sequence[CachePorts]) -> None:
        self.request = compiled.create_infer_request()
        self._caches = caches
        self._names = {value.get_any_name() for value in compiled.inputs}

    def run(self, piece: _Piece) -> None:
        """Compute a piece of a sequence."""
        inputs = {
            TOKENS: piece.token_ids[None],
            POSITIONS: piece.positions[None],
            MASK: np.ones((1, piece.length), np.int64),
            LOGITS_ROWS: piece.rows,
        }
        given = {name: array for name, array in inputs.items() if name in self._names}
        for cache, past in zip(self._caches, piece.past, strict=True):
            given[cache.past] = np.ascontiguousarray(past)
        self.request.infer(given, share_outputs=True)


class OpenVINOSlotBackend(Timed, Slotted):
    """A compiled graph whose attention OpenVINO cannot page, and its cache; made by ``load``.

    A pass of a sequence takes copies of its keys and values: what it costs grows with its length,
    faster than where attention is paged.

    Args:
        compiled: The graph.
        caches: Its keys and values.
        device: The CPU, in words.
        looked_up: Bytes of weights of which a pass reads but a few rows, to note what operators
            take; None not to.
        long_factors: How the graph is told which texts are long.
    """

    def __init__(
        self,
        compiled: ov.CompiledModel,
        caches: Sequence[CachePorts],
        device: str,
        *,
        looked_up: int | None = None,
        long_factors: LongFactors | None = None,
    ) -> None:
        super().__init__(caches, _BLOCK_SIZE)
        self._caches = caches
        self._graph: _Graph | None = _Graph(compiled, caches)
        self._memory: SlotMemory | None = None
        self._times = None if looked_up is None else OperatorTimes(self._graph, looked_up)
        names = [value.get_any_name() for value in compiled.outputs]
        self._hidden = hidden_outputs(names)
        self._states = [names.index(STATES)] if STATES in names else []
        precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.info = BackendInfo(
            name="openvino",
            device=device,
            vocab_size=_width(compiled, [names.index("logits")]),
            block_size=_BLOCK_SIZE,
            bytes_per_block=self.memory_per_block,
            cache_precision=self.precision,
            threads=compiled.get_property("INFERENCE_NUM_THREADS"),
            cache_layout=f"openvino {ov.get_version()}, computes {precision}, in slots, "
            f"{self.described}",
            state_size=_width(compiled, self._states),
            long_factors=long_factors,
        )
        self._hidden_size = _width(compiled, self._hidden)

    def _bind(self, memory: SlotMemory) -> None:
        self._memory = memory

    def _run(self, plan: StepPlan, slots: Sequence[int]) -> StepResult:
        tokens = len(plan.token_ids)
        told = self._states if plan.states else []
        logits = np.empty((len(plan.logits_rows), self.info.vocab_size), np.float32)
        states = np.empty((tokens, self.info.state_size if told else 0), np.float32)
        hidden = np.empty((tokens, self._hidden_size), np.float32)
        for sequence, slot in enumerate(slots):
            begin, end = plan.seq_begins[sequence : sequence + 2].tolist()
            chosen = (plan.logits_rows >= begin) & (plan.logits_rows < end)
            rows = plan.logits_rows[chosen] - begin
            request = self._compute(plan, sequence, slot, rows)
            logits[chosen] = request.get_tensor("logits").data[0, : len(rows)]
            for target, outputs in ((states, told), (hidden, self._hidden)):
                parts = [request.get_output_tensor(index).data[0] for index in outputs]
                if parts:
                    np.concatenate(parts, axis=1, out=target[begin:end])
        return StepResult(
            logits,
            states=states if told else None,
            hidden=hidden if self._hidden else None,
        )

    def _compute(
        self, plan: StepPlan, sequence: int, slot: int, rows: Int64Array
    ) -> ov.InferRequest:
        """Compute the tokens of a sequence, with the logits of some of them, and keep their keys
        and values; the request that holds the outputs.
        """
        assert self._graph is not None, "the backend is closed"
        assert self._memory is not None, "slots are bound before a pass"
        begin, end = plan.seq_begins[sequence : sequence + 2].tolist()
        past = int(plan.past_lens[sequence])
        tensors = [tensor[slot : slot + 1] for tensor in self._memory.tensors]
        self._graph.run(
            _Piece(
                plan.token_ids[begin:end],
                plan.positions[begin:end],
                rows if len(rows) > 0 else np.zeros(1, np.int64),  # a product of none is worse
                [tensor[:, :, :past] for tensor in tensors],
            )
        )
        request, length = self._graph.request, past + end - begin
        for cache, tensor in zip(self._caches, tensors, strict=True):
            present = request.get_tensor(cache.present).data
            assert present.shape[2] == length, f"{cache.present} has other tokens than were given"
            tensor[:, :, past:length] = present[:, :, past:]
        return request

    def close(self) -> None:
        """As ``Backend``."""
        self._graph = self._memory = self._table = self._bound = self._times = None


def _width(compiled: ov.CompiledModel, outputs: Sequence[int]) -> int:
    """Numbers that some outputs tell of a token."""
    shapes = [compiled.outputs[index].get_partial_shape() for index in outputs]
    return sum(shape[-1].get_length() for shape in shapes)
