"""Norms as the model has them; the builder reads their epsilon under one name only.

OLMo's subtract the mean and have no weights; the builder takes them for RMS norms.
"""

from __future__ import annotations

import onnx_ir as ir

_PLAIN = {
    "SimplifiedLayerNormalization": "LayerNormalization",
    "SkipSimplifiedLayerNormalization": "SkipLayerNormalization",
}
_NORMS = {*_PLAIN, *_PLAIN.values()}


def restore_norms(graph: ir.Graph, epsilon: float | None, *, plain: bool) -> None:
    """Edit a graph, in place.

    Args:
        graph: Graph of the builder.
        epsilon: What is added to the variance; None leaves it.
        plain: Whether the mean is subtracted, where the builder does not.
    """
    for node in list(graph):
        if node.op_type not in _NORMS:
            continue
        if plain:
            node.op_type = _PLAIN.get(node.op_type, node.op_type)
        if epsilon is not None:
            node.attributes["epsilon"] = ir.AttrFloat32("epsilon", epsilon)
