"""Whether a graph gives a token the same bits in any company."""

from __future__ import annotations

from collections.abc import Iterable

from nanoaccel.runtime.backends.onnxruntime.graph.model import Node
from nanoaccel.runtime.backends.onnxruntime.operators.linear import DOMAIN

# Operators of ONNX Runtime that compute number by number, or a row by itself, or only move numbers.
_STOCK = frozenset(
    {
        *("Add", "Div", "Mul", "Neg", "Pow", "Sqrt", "Sub", "Cos", "Sin", "Clip"),
        *("FastGelu", "Gelu", "QuickGelu", "Relu", "Sigmoid", "Tanh"),
        *("LayerNormalization", "SkipLayerNormalization"),
        *("SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization"),
        *("Cast", "Concat", "Constant", "Expand", "Gather", "GatherBlockQuantized", "GatherND"),
        *("Identity", "Range", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Transpose"),
        *("Unsqueeze", "Where", "Tile", "TopK", "GatherElements", "ScatterElements"),
        *("Abs", "And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min"),
        *("Not", "Or", "ReduceMax", "Softmax"),
    }
)


def is_row_wise(nodes: Iterable[Node]) -> bool:
    """Whether no node computes rows together: NanoAccel's operators do not, stock products do."""
    return all(node.domain == DOMAIN or node.kind in _STOCK for node in nodes)
