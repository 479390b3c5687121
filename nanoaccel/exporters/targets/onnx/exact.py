"""A graph that rounds no activations, over the weights of one that does."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from nanoaccel.bundle.packed_graph import EXPERTS, FLOAT_EXPERTS
from nanoaccel.exporters.targets.onnx.writer import EXACT

_MOE = "com.microsoft"
_X, _ROUTING = 0, 1
# Codes, scales, bias and zero points of both linears of QMoE.
_LINEARS = ((2, 3, 4, 11), (5, 6, 7, 12))
_WIDE = 8  # bits, with which stock QMoE rounds activations whatever it is asked for
_MIDDLE = np.array([1 << (_WIDE - 1)], np.uint8)  # of codes without zero points
_OF_CODES = ("expert_weight_bits", "block_size", "accuracy_level")


def make_exact(graph: ir.Graph) -> bool:
    """Edit a graph, in place, so that it computes with floats; False where it does already."""
    rounding = [node for node in graph if node.op_type in ("MatMulNBits", "QMoE", EXPERTS)]
    for node in rounding:
        if node.op_type == EXPERTS:
            node.op_type = FLOAT_EXPERTS
            continue
        bits = node.attributes.get("expert_weight_bits")
        if node.op_type == "QMoE" and bits is not None and bits.as_int() == _WIDE:
            _with_floats(graph, node)
        else:
            node.attributes["accuracy_level"] = ir.AttrInt64("accuracy_level", EXACT)
    return bool(rounding)


def _with_floats(graph: ir.Graph, node: ir.Node) -> None:
    """Put a MoE over floats in the place of a QMoE."""
    group = node.attributes["block_size"].as_int()
    inputs = [node.inputs[_X], node.inputs[_ROUTING]]
    for codes, scales, bias, zeros in _LINEARS:
        widened = ir.node("Cast", [node.inputs[scales]], {"to": int(ir.DataType.FLOAT)})
        new = [widened]
        middles = _input(node, zeros)
        if middles is None:
            shape = ir.node("Shape", [node.inputs[scales]])
            filled = ir.node("ConstantOfShape", shape.outputs, {"value": ir.tensor(_MIDDLE)})
            new += [shape, filled]
            middles = filled.outputs[0]
        values = [node.inputs[codes], widened.outputs[0], middles]
        floats = ir.node("DequantizeLinear", values, {"axis": 2, "block_size": group})
        graph.insert_before(node, [*new, floats])
        inputs += [floats.outputs[0], _input(node, bias)]
    kept = [one for name, one in node.attributes.items() if name not in _OF_CODES]
    made = ir.Node(_MOE, "MoE", inputs, attributes=kept, name=node.name, num_outputs=1)
    graph.insert_before(node, [made])
    made.outputs[0].name, old = node.outputs[0].name, node.outputs[0]
    old.replace_all_uses_with(made.outputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None
