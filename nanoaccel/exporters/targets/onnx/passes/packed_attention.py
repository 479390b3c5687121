"""Attention over a padded batch, in a graph whose tokens stand one after the other.

    q, k, v [1, T, H] -> GatherND(query_map) -> [B, S, H] -> GroupQueryAttention
        -> GatherND(token_map) -> [1, T, H]

The mask goes: lengths are inputs, and the kernel leaves out what is beyond them.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.targets.onnx.graph_inputs import graph_inputs

_ATTENTION = "GroupQueryAttention"
_MASK = "attention_mask"
_POSITION_IDS = "position_ids"
# Indices among GroupQueryAttention's inputs.
_CACHES = slice(3, 5)
_SEQLENS, _TOTAL, _POSITIONS, _QUERY_SEQLENS = 5, 6, 9, 16


def pack_attention(model: ir.Model) -> None:
    """Edit a graph of the builder, in place.

    Raises:
        UnsupportedModelError: It has inputs or attention that cannot be packed.
    """
    graph = model.graph
    attention = [node for node in graph if node.op_type == _ATTENTION]
    if not attention:
        raise _unsupported("its attention is not GroupQueryAttention")
    inputs = graph_inputs()
    for node in attention:
        _set_cache_shapes(node)
        _pack(node, inputs)
    _replace_positions(graph, inputs)
    RemoveUnusedNodesPass()(model)
    _check_inputs(graph)
    _set_inputs(graph, inputs)


def _pack(node: ir.Node, inputs: dict[str, ir.Value]) -> None:
    graph = node.graph
    assert graph is not None
    for index in range(3):
        source = node.inputs[index]
        if source is not None:
            gather = ir.node("GatherND", [source, inputs[contract.QUERY_MAP]])
            gather.name = f"{node.name}/pad_{index}"
            gather.outputs[0].name = f"{gather.name}/output_0"
            graph.insert_before(node, gather)
            node.replace_input_with(index, gather.outputs[0])
    if len(node.inputs) <= _QUERY_SEQLENS:
        node.resize_inputs(_QUERY_SEQLENS + 1)
    node.replace_input_with(_SEQLENS, inputs[contract.SEQLENS_K])
    node.replace_input_with(_TOTAL, inputs[contract.TOTAL_LENGTH])
    node.replace_input_with(_QUERY_SEQLENS, inputs[contract.QUERY_SEQLENS])
    rotary = node.attributes.get("do_rotary")
    if rotary is not None and rotary.as_int() == 1:
        node.replace_input_with(_POSITIONS, inputs[contract.ROW_POSITIONS])
    padded = node.outputs[0]
    back = ir.node("GatherND", [padded, inputs[contract.TOKEN_MAP]], name=f"{node.name}/unpad")
    back.outputs[0].name, padded.name = padded.name, f"{padded.name}/padded"
    back.outputs[0].dtype = ir.DataType.FLOAT
    padded.replace_all_uses_with(back.outputs[0])
    back.replace_input_with(0, padded)
    padded.shape = None
    graph.insert_after(node, back)


def _replace_positions(graph: ir.Graph, inputs: dict[str, ir.Value]) -> None:
    for value in graph.inputs:
        if value.name == _POSITION_IDS:
            value.replace_all_uses_with(inputs[contract.POSITIONS])


def _check_inputs(graph: ir.Graph) -> None:
    known = (contract.INPUT_IDS, _MASK, _POSITION_IDS)
    for value in graph.inputs:
        name = str(value.name)
        if contract.cache_of(name) is not None:
            continue
        if name not in known:
            raise _unsupported(f"its graph reads {name!r}")
        if name == _MASK and value.uses():
            (user, _), *_ = value.uses()
            raise _unsupported(f"{user.op_type} ({user.name}) reads the attention mask")


def _set_inputs(graph: ir.Graph, inputs: dict[str, ir.Value]) -> None:
    """Those of the contract, in its order; what nothing reads is left out."""
    ids = next(value for value in graph.inputs if value.name == contract.INPUT_IDS)
    ids.shape = ir.Shape([1, "T"])
    caches = [value for value in graph.inputs if contract.cache_of(str(value.name)) is not None]
    used = [value for value in inputs.values() if value.uses()]
    graph.inputs.clear()
    graph.inputs.extend([ids, *used, *caches])


def _set_cache_shapes(node: ir.Node) -> None:
    """Of the caches of a layer: rows, heads, capacity, size of a head."""
    heads = node.attributes["num_heads"].as_int()
    kv_heads = node.attributes["kv_num_heads"].as_int()
    shape = node.outputs[0].shape
    assert shape is not None
    width = shape[-1]
    assert isinstance(width, int)
    caches = (*node.inputs[_CACHES], *node.outputs[1:3])
    for value in caches:
        assert value is not None
        value.shape = ir.Shape(contract.cache_shape(kv_heads, width // heads))


def _unsupported(reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"the model cannot be packed for ONNX Runtime: {reason}",
        "Export it for OpenVINO: --runtime openvino",
    )
