"""Loads a graph into OpenVINO and runs ragged steps on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from nanoaccel.bundle.long_factors import LongFactors
from nanoaccel.errors import BundleDamagedError, BundleError, ConfigError
from nanoaccel.fuse_projections import fuse_projections
from nanoaccel.openvino_core import openvino_core
from nanoaccel.runtime.backends.base import BackendInfo, BackendOptions
from nanoaccel.runtime.backends.openvino.adapters.copies import TwoGraphs
from nanoaccel.runtime.backends.openvino.adapters.memory import AdapterMemory
from nanoaccel.runtime.backends.openvino.arena import CacheArena
from nanoaccel.runtime.backends.openvino.cache_inputs import (
    CacheInput,
    cache_inputs,
    describe,
    state_inputs,
)
from nanoaccel.runtime.backends.openvino.compilation import DEVICE, compile_graph
from nanoaccel.runtime.backends.openvino.embedding import looked_up_bytes
from nanoaccel.runtime.backends.openvino.graph_copies import GraphCopies
from nanoaccel.runtime.backends.openvino.hidden_states import (
    STATES,
    add_hidden,
    add_states,
    hidden_outputs,
)
from nanoaccel.runtime.backends.openvino.lost_masks import (
    check_attention,
    read_config,
    restore_masks,
)
from nanoaccel.runtime.backends.openvino.narrow_experts import as_integers
from nanoaccel.runtime.backends.openvino.operator_times import OperatorTimes
from nanoaccel.runtime.backends.openvino.paged_graph import (
    make_paged,
    read_long_factors,
)
from nanoaccel.runtime.backends.openvino.score_sum import ScoreSum
from nanoaccel.runtime.backends.openvino.step_inputs import check_inputs
from nanoaccel.runtime.backends.timed import Timed
from nanoaccel.runtime.cpu.machine import this_machine
from nanoaccel.runtime.cpu.runtimes import openvino_properties
from nanoaccel.runtime.cpu.threads import plan_here
from nanoaccel.runtime.cpu.workload import ThreadPlan, Workload
from nanoaccel.runtime.types.low_rank import LowRankUpdate
from nanoaccel.runtime.types.plan import Float32Array, StepPlan, StepResult

# Sizes that those copies are kept prepared for; a few tokens cost hardly more than one.
_PASS_SIZES = (4, 8, 16, 24, 32, 48, 64)
_INT8_PRODUCTS = {"avx_vnni", "avx512_vnni", "amx_int8"}
_BLOCK_SIZE = 32  # of PagedAttention in OpenVINO's CPU plugin


def load(options: BackendOptions) -> OpenVINOBackend:
    """Read, page and compile a graph.

    Raises:
        BundleDamagedError: OpenVINO cannot read the file.
        BundleError: The graph is not a text decoder with a key-value state.
        ConfigError: An option that this CPU, or this graph, cannot do.
    """
    core = openvino_core()
    model = _read(options.graph)
    if options.fuse_projections:
        fuse_projections(model)
    as_integers(model)
    config, factors = read_config(options.graph), read_long_factors(model)
    check_attention(options.graph, config)
    make_paged(model, attention_scores=options.attention_scores)
    restore_masks(model, config)
    check_inputs(model, options.graph, rotary=config.get("position_embedding_type") == "rope")
    if options.hidden_layers:
        add_hidden(model, options.hidden_layers)
    if options.role == "decode":
        add_states(model)
    capabilities = core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    plan = _plan(options)
    properties = _properties(options, plan, capabilities)
    try:
        copies, memory = compile_graph(model, options, properties)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ConfigError(
            f"OpenVINO cannot compile {options.graph} with precision={options.precision!r} and "
            f"cache_precision={options.cache_precision!r}: {reason}",
            "Set both to 'auto', or export the model again",
        ) from error
    return OpenVINOBackend(
        copies,
        core.get_property(DEVICE, "FULL_DEVICE_NAME").strip(),
        least=_least_tokens(plan),
        looked_up=looked_up_bytes(model) if options.profile else None,
        long_factors=factors,
        adapters=memory,
    )


def _read(graph: Path) -> ov.Model:
    """Raises BundleDamagedError for what is no graph, BundleError for one without logits."""
    try:
        with graph.open("rb") as file:
            if not file.read(64).lstrip().startswith(b"<"):
                raise ValueError("not XML")  # OpenVINO would try other formats, and print
        model = openvino_core().read_model(graph)
    except (RuntimeError, OSError, ValueError) as error:
        raise BundleDamagedError(
            f"OpenVINO cannot read {graph}", "Export the model again"
        ) from error
    if "logits" not in {name for value in model.outputs for name in value.names}:
        raise BundleError(f"{graph} has no output logits", "Export a text decoder")
    return model


def _plan(options: BackendOptions) -> ThreadPlan:
    return plan_here(
        Workload(
            role=options.role,
            threads=options.threads,
            weight_group_size=options.weight_group_size,
            quantization_group=options.quantization_group,
            precision=options.precision,
        )
    )


def _least_tokens(plan: ThreadPlan) -> int:
    """Tokens of a pass at least.

    OpenVINO multiplies weights in groups by activations of 8 bits from two tokens on. Where the CPU
    can do that at once, two take less time than one: on an EPYC with AVX-512, 0.92 of it for 135M
    weights and 0.82 for 1.1B.
    """
    grouped = plan.quantization_group not in (None, 0)
    return 2 if grouped and _INT8_PRODUCTS & set(this_machine().topology.instructions) else 1


def _properties(
    options: BackendOptions, plan: ThreadPlan, capabilities: Sequence[str]
) -> dict[str, object]:
    chosen: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY", **openvino_properties(plan)}
    chosen["KV_CACHE_PRECISION"] = _cache_precision(options, plan, capabilities)
    if options.profile:
        chosen["PERF_COUNT"] = True
    return chosen


def _cache_precision(options: BackendOptions, plan: ThreadPlan, capabilities: Sequence[str]) -> str:
    """Of keys and values.

    Reading OpenVINO's default, u8, takes more of a core than its size saves of the memory's time
    (benchmarks/studies/cache_precision.py). bf16 loses nothing of what was computed in bf16.
    """
    if options.cache_precision != "auto":
        return options.cache_precision
    if options.precision == "f32":
        return "f32"
    computed_in_bf16 = plan.precision in (None, "bf16") and "BF16" in capabilities
    return "bf16" if computed_in_bf16 else "f16"


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
            divisible_blocks=self._caches[0].element_type.is_real(),
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
