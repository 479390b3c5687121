"""ONNX Runtime with the cache in blocks, which NanoAccel's own attention reads and writes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends.base import BackendInfo, BackendOptions
from nanoaccel.runtime.backends.block_memory import CacheBlocks
from nanoaccel.runtime.backends.onnxruntime.adapters import GraphAdapters
from nanoaccel.runtime.backends.onnxruntime.block_graph import BlockGraph
from nanoaccel.runtime.backends.onnxruntime.operator_times import OperatorTimes
from nanoaccel.runtime.backends.onnxruntime.operators import Rewritten
from nanoaccel.runtime.backends.onnxruntime.operators.attention import BLOCK_SIZE, CacheType
from nanoaccel.runtime.backends.onnxruntime.signature import Signature
from nanoaccel.runtime.backends.timed import Timed
from nanoaccel.runtime.cpu.machine import cpu_name
from nanoaccel.runtime.native import Operators
from nanoaccel.runtime.types.low_rank import LowRankUpdate
from nanoaccel.runtime.types.plan import StepPlan, StepResult

PRECISIONS = {
    "f32": CacheType.F32,
    "f16": CacheType.F16,
    "bf16": CacheType.BF16,
    "u8": CacheType.INT8,  # 8 bits, which are signed here
    "u4": CacheType.UINT4,
}
_WORDS = {kind: name for name, kind in PRECISIONS.items()} | {CacheType.INT8: "i8"}


def cache_type(options: BackendOptions) -> CacheType | None:
    """The type of cached numbers that was asked for; None where there is none like it.

    f16 takes as long as bf16, and keeps more of what was computed in f32.
    """
    if options.cache_precision == "auto":
        return CacheType.F32 if options.precision == "f32" else CacheType.F16
    return PRECISIONS.get(options.cache_precision)


class OnnxBlockBackend(Timed):
    """A session, and its cache; made by ``load``."""

    def __init__(
        self,
        session: ort.InferenceSession,
        signature: Signature,
        rewritten: Rewritten,
        threads: int,
        options: BackendOptions,
        operators: Operators,
        times: OperatorTimes | None = None,
        adapters: GraphAdapters | None = None,
    ) -> None:
        layout = rewritten.blocks
        assert layout is not None, "its attention has blocks"
        self._session: ort.InferenceSession | None = session
        self._times: OperatorTimes | None = times
        self._signature = signature
        self._hidden = signature.told_layers(options.hidden_layers)
        self._scores = layout.nodes if options.attention_scores else 0
        self._adapters = adapters
        self._graph: BlockGraph | None = None
        self._blocks: CacheBlocks | None = None
        self._states: CacheBlocks | None = None
        self.state_bytes = signature.recurrent_size * np.dtype(np.float32).itemsize
        self.block_bytes = layout.block_bytes
        precision = _WORDS[layout.type]
        self.info = BackendInfo(
            name="onnx",
            device=cpu_name(),
            vocab_size=signature.vocab_size,
            block_size=BLOCK_SIZE,
            bytes_per_block=self.block_bytes,
            cache_precision=precision,
            threads=threads,
            cache_layout=f"onnxruntime {ort.__version__}, computes {options.precision}, "
            f"operators {operators.version}, blocks of {BLOCK_SIZE} x {precision}, "
            f"{layout.described()}, states of {signature.recurrent_size}",
            own_operators=True,
            batch_invariant=rewritten.row_wise,
            state_size=signature.state_size,
            long_factors=signature.long_factors,
            bytes_per_state=self.state_bytes,
        )

    def allocate_cache(self, num_blocks: int) -> None:
        assert self._session is not None, "the backend is closed"
        try:
            self._blocks = CacheBlocks(num_blocks, self.block_bytes)
            if self.state_bytes > 0:  # and the state of no tokens
                self._states = CacheBlocks(self.info.num_states(num_blocks) + 1, self.state_bytes)
        except MemoryError as error:
            raise ConfigError(
                f"{self.info.cache_bytes(num_blocks)} bytes of cache do not fit in memory",
                "Lower kv_cache_memory",
            ) from error
        self._graph = BlockGraph(
            self._session,
            self._signature,
            self._hidden,
            self._blocks.rows,
            None if self._states is None else self._states.rows.view(np.float32),
            self._scores,
        )
        if self._times is not None:
            self._times.watch(self._graph, self._session)

    def forward(self, plan: StepPlan) -> StepResult:
        assert self._graph is not None, "the backend has no cache yet, or is closed"
        return self._graph.forward(plan)

    def read_block(self, block: int, out: NDArray[np.uint8]) -> None:
        _live(self._blocks).read(block, out)

    def write_block(self, block: int, data: NDArray[np.uint8]) -> None:
        _live(self._blocks).write(block, data)

    def read_state(self, slot: int, out: NDArray[np.uint8]) -> None:
        """As ``StateHolder``."""
        _live(self._states).read(slot, out)

    def write_state(self, slot: int, data: NDArray[np.uint8]) -> None:
        """As ``StateHolder``."""
        _live(self._states).write(slot, data)

    @property
    def adaptable(self) -> Mapping[str, tuple[int, int]]:
        """As ``AdapterHolder``; nothing where the graph was not prepared for adapters."""
        return {} if self._adapters is None else self._adapters.modules

    def load_adapter(self, slot: int, updates: Mapping[str, LowRankUpdate]) -> None:
        """As ``AdapterHolder``.

        Raises:
            ConfigError: Its numbers cannot be kept.
        """
        assert self._adapters is not None, "the graph was not prepared for adapters"
        self._adapters.load(slot, updates)

    def unload_adapter(self, slot: int) -> None:
        """As ``AdapterHolder``."""
        assert self._adapters is not None, "the graph was not prepared for adapters"
        self._adapters.unload(slot)

    def close(self) -> None:
        if self._adapters is not None:
            self._adapters.close()
        if self._times is not None:
            self._times.close()
        self._graph = self._session = self._blocks = self._states = None


def _live(blocks: CacheBlocks | None) -> CacheBlocks:
    assert blocks is not None, "the backend has no cache yet, or is closed"
    return blocks
