"""Compiles a graph: with adapters, or without, and in how many copies."""

from __future__ import annotations

from pathlib import Path

import openvino as ov

from nanoaccel.bundle.folded_scales import RUNTIME_INFO, FoldedScales, not_told
from nanoaccel.openvino_core import openvino_core
from nanoaccel.runtime.backends.base import BackendOptions
from nanoaccel.runtime.backends.openvino.adapters.copies import TwoGraphs
from nanoaccel.runtime.backends.openvino.adapters.graph import add_adapters
from nanoaccel.runtime.backends.openvino.adapters.memory import AdapterMemory
from nanoaccel.runtime.backends.openvino.cache_inputs import cache_inputs, state_inputs
from nanoaccel.runtime.backends.openvino.graph_copies import GraphCopies
from nanoaccel.runtime.backends.openvino.paged_graph import with_tokens
from nanoaccel.runtime.cpu.memory import free_memory

DEVICE = "CPU"
# Copies beside the first, and the share of the free memory that they may take.
_MOST_COPIES = 3
_COPY_SHARE = 0.1


def compile_graph(
    model: ov.Model, options: BackendOptions, properties: dict[str, object]
) -> tuple[GraphCopies | TwoGraphs, AdapterMemory | None]:
    """Compile a graph.

    Args:
        model: All inputs but those of adapters are there.
        options: What it is loaded with.
        properties: OpenVINO's.

    Returns:
        What runs it, and what holds its adapters where the options ask for some.

    Raises:
        ConfigError: Adapters are asked for, and the graph does not tell what they need.
        RuntimeError: OpenVINO cannot.
    """
    # Of a draft there is one, so that more of it stays in the CPU's caches.
    several = options.role == "decode" and not options.profile
    most = _affordable_copies(options.graph) if several else 0
    if not options.adapters:
        return _copies(model, properties, most), None
    folded = _folded_scales(model, options.graph)
    adapted = model.clone()
    memory = AdapterMemory(add_adapters(adapted), folded)
    if most == 0:
        return _copies(adapted, properties, 0, memory), memory
    more = (most - 1) // 2
    plain = _copies(model, properties, most - 1 - more)
    return TwoGraphs(_copies(adapted, properties, more, memory), plain), memory


def _folded_scales(model: ov.Model, graph: Path) -> FoldedScales:
    if not model.has_rt_info(RUNTIME_INFO):
        raise not_told(graph)
    return FoldedScales.parse(model.get_rt_info(RUNTIME_INFO).astype(str))


def _copies(
    model: ov.Model,
    properties: dict[str, object],
    most: int,
    adapters: AdapterMemory | None = None,
) -> GraphCopies:
    """Compile a graph; at most so many copies more are made of it."""
    core = openvino_core()

    def compile_for(tokens: int) -> ov.CompiledModel:
        return core.compile_model(with_tokens(model, tokens), DEVICE, properties)

    compiled = core.compile_model(model, DEVICE, properties)
    held = [*cache_inputs(compiled.inputs), *state_inputs(compiled.inputs)]
    return GraphCopies(compiled, compile_for, most, held, adapters)


def _affordable_copies(graph: Path) -> int:
    """Further copies of the weights that would together take but little of the free memory."""
    weights = graph.with_suffix(".bin")
    size = weights.stat().st_size if weights.is_file() else 0
    return min(_MOST_COPIES, int(_COPY_SHARE * free_memory() / size)) if size > 0 else 0
