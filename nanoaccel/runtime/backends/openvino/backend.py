"""Runs ragged steps on a paged graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from nanoaccel.bundle.long_factors import LongFactors
from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends.base import BackendInfo
from nanoaccel.runtime.backends.openvino.adapters.copies import TwoGraphs
from nanoaccel.runtime.backends.openvino.adapters.memory import AdapterMemory
from nanoaccel.runtime.backends.openvino.arena import CacheArena
from nanoaccel.runtime.backends.openvino.cache_inputs import (
    CacheInput,
    cache_inputs,
    describe,
    state_inputs,
)
from nanoaccel.runtime.backends.openvino.graph_copies import GraphCopies
from nanoaccel.runtime.backends.openvino.hidden_states import STATES, hidden_outputs
from nanoaccel.runtime.backends.openvino.operator_times import OperatorTimes
from nanoaccel.runtime.backends.openvino.score_sum import ScoreSum
from nanoaccel.runtime.backends.timed import Timed
from nanoaccel.runtime.types.low_rank import LowRankUpdate
from nanoaccel.runtime.types.plan import Float32Array, StepPlan, StepResult

# Sizes that those copies are kept prepared for; a few tokens cost hardly more than one.
_PASS_SIZES = (4, 8, 16, 24, 32, 48, 64)
_BLOCK_SIZE = 32  # of PagedAttention in OpenVINO's CPU plugin


class OpenVINOBackend(Timed):
    """A compiled graph, and its cache; made by ``load``.

    Passes of fewer tokens than ``least`` are padded. With ``looked_up``, the bytes of weights of
    which a pass reads but a few rows, it notes what its operators take. ``adapters`` holds those
    that are loaded, of a graph that has inputs for them.
    """

    def __init__(
        self,
        copies: GraphCopies | TwoGraphs,
        device: str,
        *,
        least: int = 1,
        looked_up: int | None = None,
        long_factors: LongFactors | None = None,
        adapters: AdapterMemory | None = None,
    ) -> None:
        self._least = least
        self._copies = copies
        self._adapters = adapters
        compiled = copies.general.request.get_compiled_model()
        self._caches = cache_inputs(compiled.inputs)
        self._state_tables = state_inputs(compiled.inputs)
        self._times = None if looked_up is None else OperatorTimes(copies.general, looked_up)
        outputs = [value.get_any_name() for value in compiled.outputs]
        self._logits = outputs.index("logits")
        scores = [index for index, name in enumerate(outputs) if name.startswith("scores.")]
        self._scores = ScoreSum(scores) if scores else None
        self._hidden = hidden_outputs(outputs)
        self._states = [outputs.index(STATES)] if STATES in outputs else []
        self._arena: CacheArena | None = None
        self._state_arena: CacheArena | None = None
        self.block_bytes = sum(cache.block_bytes for cache in self._caches)
        self.state_bytes = sum(table.block_bytes for table in self._state_tables)
        self.info = BackendInfo(
            name="openvino",
            device=device,
            vocab_size=_width(compiled.output("logits")),
            block_size=_BLOCK_SIZE,
            bytes_per_block=self.block_bytes,
            cache_precision=self._caches[0].element_type.get_type_name(),
            threads=compiled.get_property("INFERENCE_NUM_THREADS"),
            cache_layout=self._cache_layout(compiled),
            state_size=sum(_width(compiled.outputs[index]) for index in self._states),
            pass_sizes=(least, *_PASS_SIZES),
            bytes_per_state=self.state_bytes,
            long_factors=long_factors,
        )

    def allocate_cache(self, num_blocks: int) -> None:
        try:
            # One more of each for what passes are padded with, and the state of no tokens.
            self._arena = CacheArena(num_blocks + 1, _sizes(self._caches))
            num_states = self.info.num_states(num_blocks) + 2
            self._state_arena = CacheArena(num_states, _sizes(self._state_tables))
        except MemoryError as error:
            raise ConfigError(
                f"{self.info.cache_bytes(num_blocks)} bytes of cache do not fit in memory",
                "Lower kv_cache_memory",
            ) from error
        for table in self._state_arena.slices:
            table[0] = 0
        self._copies.bind([*self._arena.slices, *self._state_arena.slices])

    def forward(self, plan: StepPlan) -> StepResult:
        if plan.num_computed < self._least:
            plan = replace(plan, pad_to=self._least)
        request = self._copies.run(plan)
        logits = request.get_output_tensor(self._logits).data
        scores = None if self._scores is None else self._scores.of(request)
        return StepResult(
            logits=logits.reshape(len(plan.logits_rows), self.info.vocab_size),
            scores=None if scores is None else scores[: len(scores) - plan.num_pads],
            hidden=self._told(request, plan, self._hidden),
            states=self._told(request, plan, self._states) if plan.states else None,
        )

    def _told(
        self, request: ov.InferRequest, plan: StepPlan, outputs: Sequence[int]
    ) -> Float32Array | None:
        """What some outputs tell of each token, side by side; None of no output."""
        found = [
            request.get_output_tensor(index).data.reshape(plan.num_computed, -1)[
                : len(plan.token_ids)
            ]
            for index in outputs
        ]
        if not found:
            return None
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    def read_block(self, block: int, out: NDArray[np.uint8]) -> None:
        _live(self._arena).read(block, out)

    def write_block(self, block: int, data: NDArray[np.uint8]) -> None:
        _live(self._arena).write(block, data)

    def read_state(self, slot: int, out: NDArray[np.uint8]) -> None:
        """As ``StateHolder``."""
        _live(self._state_arena).read(slot, out)

    def write_state(self, slot: int, data: NDArray[np.uint8]) -> None:
        """As ``StateHolder``."""
        _live(self._state_arena).write(slot, data)

    @property
    def adaptable(self) -> Mapping[str, tuple[int, int]]:
        """As ``AdapterHolder``; empty where it was not loaded for adapters."""
        return {} if self._adapters is None else self._adapters.adaptable

    def load_adapter(self, slot: int, updates: Mapping[str, LowRankUpdate]) -> None:
        """As ``AdapterHolder``."""
        self._held_adapters.load(slot, updates)

    def unload_adapter(self, slot: int) -> None:
        """As ``AdapterHolder``."""
        self._held_adapters.unload(slot)

    @property
    def _held_adapters(self) -> AdapterMemory:
        assert self._adapters is not None, "it was not loaded for adapters"
        return self._adapters

    def close(self) -> None:
        self._copies.close()
        self._arena = self._state_arena = self._adapters = None

    def _cache_layout(self, compiled: ov.CompiledModel) -> str:
        precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        described = describe([*self._caches, *self._state_tables])
        return f"openvino {ov.get_version()}, computes {precision}, {described}"


def _sizes(inputs: Sequence[CacheInput]) -> list[int]:
    return [value.block_bytes for value in inputs]


def _live(arena: CacheArena | None) -> CacheArena:
    assert arena is not None, "the backend has no cache yet, or is closed"
    return arena


def _width(value: ov.Output) -> int:
    return int(value.get_partial_shape()[-1].get_length())
