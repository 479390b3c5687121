"""From a traced graph to a stateful one, with the names that OpenVINO GenAI reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
import torch
from openvino import opset13 as ops
from openvino._offline_transformations import apply_make_stateful_transformation
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

from nanoaccel.bundle.attention import WINDOWS
from nanoaccel.bundle.long_factors import RUNTIME_INFO
from nanoaccel.exporters.targets.openvino.tracing.caches import STATES, CachedTensors, find_cached
from nanoaccel.exporters.targets.openvino.tracing.expert_products import ExpertProducts
from nanoaccel.exporters.targets.openvino.tracing.forward import INPUTS, flat_forward, own_kernels
from nanoaccel.exporters.targets.openvino.tracing.long_rotation import told_by_positions
from nanoaccel.exporters.targets.openvino.tracing.loops import RULES
from nanoaccel.exporters.targets.openvino.tracing.windows import windows_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from nanoaccel.exporters.quantize.compression.mapped import MappedTensors

# Sizes of the example: no two alike, so that none is taken for another.
_BATCH, _TOKENS, _PAST = 2, 3, 5


def stateful_graph(model: PreTrainedModel, context: int, tensors: MappedTensors) -> ov.Model:
    """Trace a decoder; its keys and values, and its states, become the graph's own state.

    Args:
        model: A causal language model, in evaluation mode.
        context: Tokens that it can attend to.
        tensors: Where weights lie that are not as the model has them; the graph needs them.

    Returns:
        Inputs input_ids, attention_mask, position_ids i64[B, T] and beam_idx i32[B], output logits
        f32[B, T, V].

    Raises:
        UnsupportedModelError: Its attention has a mask of another kind than engines compute, or
            it rotates long texts by code of its own.
        RuntimeError: It does not trace; so do others, as torch and the model raise them.
    """
    rules = [*RULES, ExpertProducts(tensors).rule()]
    with own_kernels(model) as attentions, torch.no_grad():
        cached = find_cached(model, attentions)
        windows = windows_of(attentions.masks, context)
        told = told_by_positions(model, context)
        with told as factors, flat_forward(model, cached, attentions):
            graph = ov.convert_model(_traced(model, cached), extension=rules)
    _name(graph, cached)
    _reorder(graph, cached)
    pairs = {one.name: _present(one.name) for one in cached.tensors}
    apply_make_stateful_transformation(graph, pairs)
    _begin_empty(graph)
    if windows is not None:
        graph.set_rt_info(",".join(map(str, windows)), WINDOWS)
    if factors is not None:
        graph.set_rt_info(str(factors), RUNTIME_INFO)
    graph.validate_nodes_and_infer_types()
    return graph


def _traced(model: PreTrainedModel, cached: CachedTensors) -> TorchScriptPythonDecoder:
    """The traced model; to check it by tracing it again would find nothing that is not known."""
    once = {"check_trace": False}
    return TorchScriptPythonDecoder(model, example_input=_example(cached), trace_kwargs=once)


def _example(cached: CachedTensors) -> tuple[object, ...]:
    ids = torch.ones(_BATCH, _TOKENS, dtype=torch.int64)
    mask = torch.ones(_BATCH, _PAST + _TOKENS, dtype=torch.int64)
    positions = torch.arange(_PAST, _PAST + _TOKENS).expand(_BATCH, _TOKENS).contiguous()
    past = [
        torch.zeros(_BATCH, *(_PAST if size < 0 else size for size in one.sizes))
        for one in cached.tensors
    ]
    return ids, mask, positions, tuple(past)


def _name(graph: ov.Model, cached: CachedTensors) -> None:
    """Name inputs and outputs, and free the sizes that the example fixed."""
    shapes = {name: [-1, -1] for name in INPUTS}
    shapes |= {one.name: [-1, *one.sizes] for one in cached.tensors}
    for port, (name, shape) in zip(graph.inputs, shapes.items(), strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_friendly_name(name)
        port.get_node().set_partial_shape(ov.PartialShape(shape))
    names = ["logits", *(_present(one.name) for one in cached.tensors)]
    for port, name in zip(graph.outputs, names, strict=True):
        port.get_tensor().set_names({name})


def _reorder(graph: ov.Model, cached: CachedTensors) -> None:
    """Let beam_idx choose the sequence whose state each sequence goes on with."""
    beam = ops.parameter([-1], np.int32, name="beam_idx")
    beam.output(0).get_tensor().set_names({"beam_idx"})
    graph.add_parameters([beam])
    for one in cached.tensors:
        source = graph.input(one.name).get_node()
        readers = source.output(0).get_target_inputs()
        chosen = ops.gather(source, beam, ops.constant(np.int64(0)))
        for reader in readers:
            reader.replace_source_output(chosen.output(0))
    graph.validate_nodes_and_infer_types()


def _begin_empty(graph: ov.Model) -> None:
    """Let each state begin without a token, or all zero, for as many sequences as are asked."""
    ids = ops.shape_of(graph.input(INPUTS[0]).get_node(), "i64")
    batch = ops.gather(ids, ops.constant(np.zeros(1, np.int64)), ops.constant(np.int64(0)))
    for node in graph.get_ops():
        if node.get_type_name() != "ReadValue" or node.get_input_size() > 0:
            continue
        _, *sizes = node.get_output_partial_shape(0)
        rest = [0 if size.is_dynamic else size.get_length() for size in sizes]
        size = ops.concat([batch, ops.constant(np.array(rest, np.int64))], 0)
        node.set_arguments([ops.broadcast(ops.constant(np.float32(0)), size).output(0)])


def _present(name: str) -> str:
    if name.startswith(STATES):
        return name.replace(".past.", ".present.", 1)
    return name.replace("past_key_values", "present", 1)
