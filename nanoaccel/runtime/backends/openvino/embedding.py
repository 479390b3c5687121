"""Weights that are looked up, row by row, and not multiplied with."""

from __future__ import annotations

import openvino as ov

_BETWEEN = ("Convert", "Multiply", "Subtract", "Reshape")  # a stored weight and where it is used


def looked_up_bytes(model: ov.Model) -> int:
    """Bytes of the embeddings that are not a product's matrix too."""
    rows: dict[str, int] = {}
    matrices: dict[str, int] = {}
    for node in model.get_ops():
        kind = node.get_type_name()
        if kind == "Gather":
            rows |= _constants_above(node.input(0))
        elif kind == "MatMul":
            matrices |= _constants_above(node.input(1))
    return sum(size for name, size in rows.items() if name not in matrices)


def _constants_above(graph_input: ov.Input) -> dict[str, int]:
    """Names and bytes of what an input is made of."""
    found: dict[str, int] = {}
    left = [graph_input]
    while left:
        node = left.pop().get_source_output().get_node()
        if node.get_type_name() == "Constant":
            found[node.get_friendly_name()] = int(node.get_byte_size())
        elif node.get_type_name() in _BETWEEN:
            left += node.inputs()
    return found
