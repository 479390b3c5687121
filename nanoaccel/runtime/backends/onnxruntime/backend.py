"""Loads a graph into ONNX Runtime and runs ragged steps on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

from nanoaccel.bundle import exact_graph
from nanoaccel.bundle.folded_scales import check_told
from nanoaccel.errors import BundleError, ConfigError
from nanoaccel.runtime.backends.base import BackendInfo, BackendOptions
from nanoaccel.runtime.backends.onnxruntime.adapters import GraphAdapters
from nanoaccel.runtime.backends.onnxruntime.binding import Binding
from nanoaccel.runtime.backends.onnxruntime.block_backend import OnnxBlockBackend, cache_type
from nanoaccel.runtime.backends.onnxruntime.operator_times import OperatorTimes
from nanoaccel.runtime.backends.onnxruntime.operators import Rewritten, rewrite
from nanoaccel.runtime.backends.onnxruntime.packed_graph import PackedGraph
from nanoaccel.runtime.backends.onnxruntime.plain_graph import PlainGraph
from nanoaccel.runtime.backends.onnxruntime.session import open_session, without_operators
from nanoaccel.runtime.backends.onnxruntime.signature import Signature, read_signature
from nanoaccel.runtime.backends.slots import SlotMemory, Slotted
from nanoaccel.runtime.backends.timed import Timed
from nanoaccel.runtime.cpu.machine import cpu_name
from nanoaccel.runtime.cpu.threads import plan_here
from nanoaccel.runtime.cpu.workload import Workload
from nanoaccel.runtime.native import Operators, find_operators
from nanoaccel.runtime.native.adapters import NativeAdapters
from nanoaccel.runtime.types.plan import StepPlan, StepResult

_BLOCK_SIZE = 32


def load(options: BackendOptions) -> OnnxRuntimeBackend | OnnxBlockBackend:
    """Read a graph and open a session on it.

    Where NanoAccel's operators are there and can do what its attention does, they read the blocks
    of the cache; else each sequence is copied out of them into a slot.

    Raises:
        BundleDamagedError: The file or its weights cannot be read.
        BundleError: The graph is no decoder that can be run, or needs another ONNX Runtime.
        ConfigError: An option that this runtime or this graph cannot do, adapters among them.
    """
    operators = find_operators()
    table = _table(options, operators)
    graph, rewritten = _rewritten(options, operators, table)
    if options.attention_scores and (rewritten is None or rewritten.blocks is None):
        raise ConfigError(
            "ONNX Runtime tells no attention scores without NanoAccel's own attention",
            "Evict by='position', or run the bundle on OpenVINO; 'nanoaccel doctor' says why",
        )
    plan = plan_here(Workload(role=options.role, threads=options.threads))
    model = None if rewritten is None else rewritten.model
    times = OperatorTimes(graph, model) if options.profile else None
    prefix = None if times is None else times.prefix
    session = open_session(graph, plan, operators, rewritten, prefix)
    signature = read_signature(session, graph)
    missing = sorted(set(options.hidden_layers) - signature.hidden)
    if missing:
        raise BundleError(
            f"{graph} tells nothing of layer {missing[0]}: its head cannot run",
            "Export the model again, or without a head",
        )
    if signature.recurrent_size > 0 and signature.caches:
        raise without_operators(graph, "its attention is none that they compute")
    common = (plan.threads, options, operators, times)
    if rewritten is not None and rewritten.blocks is not None:
        adapters = None if table is None else GraphAdapters(table, rewritten.adaptable)
        return OnnxBlockBackend(session, signature, rewritten, *common, adapters)
    return OnnxRuntimeBackend(session, signature, *common)


def _table(options: BackendOptions, operators: Operators) -> NativeAdapters | None:
    """Where adapters will be; None where none were asked for.

    Raises:
        ConfigError: There are no operators that compute with them.
    """
    if not options.adapters:
        return None
    if operators.library is None:
        raise ConfigError(
            "ONNX Runtime computes with adapters only by NanoAccel's operators "
            f"({operators.described()})",
            "Run the bundle on OpenVINO; 'nanoaccel doctor' says more",
        )
    return NativeAdapters(operators.library)


def _rewritten(
    options: BackendOptions, operators: Operators, table: NativeAdapters | None
) -> tuple[Path, Rewritten | None]:
    """The file of the graph, and the graph with NanoAccel's operators where they have a place.

    Raises:
        ConfigError: It cannot compute or cache as was asked.
    """
    graph, kind = _computing(options), cache_type(options)
    rewritten = None
    if operators.library is not None:
        number = None if table is None else table.number
        rewritten = rewrite(graph, kind, scores=options.attention_scores, adapters=number)
    in_blocks = rewritten is not None and rewritten.blocks is not None
    if not in_blocks and options.cache_precision not in ("auto", "f32"):
        raise ConfigError(
            f"cache_precision={options.cache_precision!r} cannot be had of {graph.name} on ONNX "
            f"Runtime, whose attention caches in f32 (operators: {operators.described()})",
            "Set it to 'auto', or run the bundle on OpenVINO",
        )
    if table is not None:
        _check_adaptable(graph, rewritten)
    return graph, rewritten


def _check_adaptable(graph: Path, rewritten: Rewritten | None) -> None:
    """Refuse a graph that no adapter can change.

    Raises:
        ConfigError: It is none that can be.
    """
    if rewritten is None or rewritten.blocks is None:
        raise ConfigError(
            f"{graph} cannot be run with adapters: NanoAccel's operators do not compute its "
            "attention",
            "Run the bundle on OpenVINO, or merge the adapter and export",
        )
    check_told(graph)
    if not rewritten.adaptable.matrices:
        raise ConfigError(
            f"{graph} does not tell which modules its matrices are, which adapters need",
            "Export the model again",
        )


def _computing(options: BackendOptions) -> Path:
    """The file of the graph that computes as was asked."""
    exact = exact_graph(options.graph)
    return exact if options.precision == "f32" and exact.is_file() else options.graph


class OnnxRuntimeBackend(Timed, Slotted):
    """A session, and its cache; made by ``load``."""

    def __init__(
        self,
        session: ort.InferenceSession,
        signature: Signature,
        threads: int,
        options: BackendOptions,
        operators: Operators,
        times: OperatorTimes | None = None,
    ) -> None:
        super().__init__(signature.caches, _BLOCK_SIZE)
        self._session: ort.InferenceSession | None = session
        self._times: OperatorTimes | None = times
        self._signature = signature
        self._hidden = signature.told_layers(options.hidden_layers)
        self._graph: PackedGraph | PlainGraph | None = None
        self.info = BackendInfo(
            name="onnx",
            device=cpu_name(),
            vocab_size=signature.vocab_size,
            block_size=_BLOCK_SIZE,
            bytes_per_block=self.memory_per_block,
            cache_precision=self.precision,
            threads=threads,
            cache_layout=f"onnxruntime {ort.__version__}, computes {options.precision}, "
            f"operators {operators.version}, {self.described}",
            state_size=signature.state_size,
            long_factors=signature.long_factors,
        )

    def _bind(self, memory: SlotMemory) -> None:
        assert self._session is not None, "the backend is closed"
        binding = Binding(self._session, self._signature.caches, memory)
        if self._times is not None:
            self._times.watch(binding, self._session)
        self._graph = (
            PackedGraph(binding, self._signature, self._hidden)
            if self._signature.packed
            else PlainGraph(binding, self._signature)
        )

    def _run(self, plan: StepPlan, slots: Sequence[int]) -> StepResult:
        assert self._graph is not None, "slots are bound before a pass"
        return self._graph.forward(plan, slots)

    def close(self) -> None:
        if self._times is not None:
            self._times.close()
        self._graph = self._session = self._table = self._bound = None
