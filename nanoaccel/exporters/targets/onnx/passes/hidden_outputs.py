"""Makes the hidden states of each layer outputs, which draft heads read."""

from __future__ import annotations

import re

import onnx_ir as ir

from nanoaccel.bundle.packed_graph import hidden_name
from nanoaccel.errors import UnsupportedModelError

_NORM = re.compile(r"/model/layers\.(\d+)/(input|final_norm)_layernorm/\w+$")
_SUM = 3  # output of a Skip...LayerNormalization: the residual sum


def add_hidden_outputs(graph: ir.Graph, hidden_size: int) -> None:
    """Edit a graph, in place.

    Args:
        graph: With the builder's names.
        hidden_size: Numbers that a layer gives for a token.

    Raises:
        UnsupportedModelError: The layers cannot be told apart.
    """
    layers = sum(node.op_type == "GroupQueryAttention" for node in graph)
    found: dict[int, ir.Value] = {}
    for node in list(graph):
        match = _NORM.match(node.name or "")
        if match is not None and "LayerNormalization" in node.op_type and int(match[1]) > 0:
            found[int(match[1]) - 1] = _read_by(node)
    if sorted(found) != list(range(layers)):
        raise UnsupportedModelError(
            f"the builder's graph has {layers} layers with attention, and norms behind "
            f"{len(found)}",
            "Export it for OpenVINO: --runtime openvino",
        )
    for layer, value in sorted(found.items()):
        value.name = hidden_name(layer)
        value.dtype = ir.DataType.FLOAT
        value.shape = ir.Shape([1, "T", hidden_size])
        graph.outputs.append(value)


def _read_by(norm: ir.Node) -> ir.Value:
    """What a norm normalizes: its input, or the sum that it makes itself."""
    if not norm.op_type.startswith("Skip"):
        source = norm.inputs[0]
        assert source is not None
        return source
    if len(norm.outputs) <= _SUM:
        norm.resize_outputs(_SUM + 1)
        for output in norm.outputs:
            output.name = output.name or ""  # without one it is left out
    return norm.outputs[_SUM]
