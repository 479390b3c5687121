"""Reads a graph, and loads it into the backend that can run it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import openvino as ov

from nanoaccel.bundle.attention import paging_obstacle
from nanoaccel.errors import BundleDamagedError, BundleError, ConfigError
from nanoaccel.fuse_projections import fuse_projections
from nanoaccel.openvino_core import openvino_core
from nanoaccel.runtime.backends.base import BackendOptions
from nanoaccel.runtime.backends.openvino.backend import OpenVINOBackend
from nanoaccel.runtime.backends.openvino.compilation import DEVICE, compile_graph
from nanoaccel.runtime.backends.openvino.embedding import looked_up_bytes
from nanoaccel.runtime.backends.openvino.hidden_states import add_hidden, add_states
from nanoaccel.runtime.backends.openvino.lost_masks import (
    check_states,
    read_config,
    restore_masks,
)
from nanoaccel.runtime.backends.openvino.narrow_experts import as_integers
from nanoaccel.runtime.backends.openvino.paged_graph import (
    UnpagedError,
    make_paged,
    read_long_factors,
    select_rows,
)
from nanoaccel.runtime.backends.openvino.slot_backend import OpenVINOSlotBackend
from nanoaccel.runtime.backends.openvino.stateless_graph import check_options, make_stateless
from nanoaccel.runtime.backends.openvino.step_inputs import check_inputs
from nanoaccel.runtime.cpu.machine import this_machine
from nanoaccel.runtime.cpu.runtimes import openvino_properties
from nanoaccel.runtime.cpu.threads import plan_here
from nanoaccel.runtime.cpu.workload import ThreadPlan, Workload

_INT8_PRODUCTS = {"avx_vnni", "avx512_vnni", "amx_int8"}

_log = logging.getLogger("nanoaccel.backends")


def load(options: BackendOptions) -> OpenVINOBackend | OpenVINOSlotBackend:
    """Read and compile a graph: paged, or, where OpenVINO cannot page its attention, with each
    sequence in a slot.

    Raises:
        BundleDamagedError: OpenVINO cannot read the file.
        BundleError: The graph is not a text decoder with a key-value state.
        ConfigError: An option that this CPU, or this graph, cannot do.
    """
    config = read_config(options.graph)
    check_states(options.graph, config)
    reason = paging_obstacle(config)
    if reason is None:
        try:
            return _load_paged(options, config)
        except UnpagedError as error:
            reason = error.problem
    loaded = _load_slots(options, reason)
    _log.warning(
        "OpenVINO runs %s one sequence after another, and slowly: %s", options.graph, reason
    )
    return loaded


def _load_paged(options: BackendOptions, config: Mapping[str, Any]) -> OpenVINOBackend:
    """Raises UnpagedError for a graph whose attention OpenVINO cannot page."""
    model = _read(options)
    factors = read_long_factors(model)
    make_paged(model, attention_scores=options.attention_scores)
    restore_masks(model, config)
    check_inputs(model, options.graph, rotary=config.get("position_embedding_type") == "rope")
    if options.hidden_layers:
        add_hidden(model, options.hidden_layers)
    if options.role == "decode":
        add_states(model)
    plan = _plan(options)
    try:
        copies, memory = compile_graph(model, options, _properties(options, plan))
    except RuntimeError as error:
        raise _not_compiled(options, error) from error
    return OpenVINOBackend(
        copies,
        _device(),
        least=_least_tokens(plan),
        looked_up=looked_up_bytes(model) if options.profile else None,
        long_factors=factors,
        adapters=memory,
    )


def _load_slots(options: BackendOptions, reason: str) -> OpenVINOSlotBackend:
    model = _read(options)
    factors = read_long_factors(model)
    check_options(options, reason)
    caches = make_stateless(model, options.graph)
    select_rows(model, axis=1)
    if options.hidden_layers:
        add_hidden(model, options.hidden_layers)
    if options.role == "decode":
        add_states(model)
    try:
        compiled = openvino_core().compile_model(
            model, DEVICE, _properties(options, _plan(options))
        )
    except RuntimeError as error:
        raise _not_compiled(options, error) from error
    return OpenVINOSlotBackend(
        compiled,
        caches,
        _device(),
        looked_up=looked_up_bytes(model) if options.profile else None,
        long_factors=factors,
    )


def _read(options: BackendOptions) -> ov.Model:
    """Raises BundleDamagedError for what is no graph, BundleError for one without logits."""
    graph = options.graph
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
    if options.fuse_projections:
        fuse_projections(model)
    as_integers(model)
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


def _properties(options: BackendOptions, plan: ThreadPlan) -> dict[str, object]:
    capabilities = openvino_core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
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


def _device() -> str:
    name: str = openvino_core().get_property(DEVICE, "FULL_DEVICE_NAME")
    return name.strip()


def _not_compiled(options: BackendOptions, error: RuntimeError) -> ConfigError:
    reason = str(error).strip().splitlines()[-1]
    return ConfigError(
        f"OpenVINO cannot compile {options.graph} with precision={options.precision!r} and "
        f"cache_precision={options.cache_precision!r}: {reason}",
        "Set both to 'auto', or export the model again",
    )
