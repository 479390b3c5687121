"""Large products in parts of their rows.

ONNX Runtime multiplies 8-bit codes by floats by making floats of the whole matrix: 2 GB for a
vocabulary of 128,000 words of 4,096 numbers. Of parts, it has one as floats at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

_WIDE = 8  # bits of a code
_PART = 1 << 25  # weights of a part, at most: 134 MB of floats
_CODES = 1


def divide_products(graph: ir.Graph) -> None:
    """Edit a graph, in place, so that its largest 8-bit products are in parts.

    Each row gives the number that it gave before.
    """
    for node in [one for one in graph if one.op_type == "MatMulNBits"]:
        codes = node.inputs[_CODES]
        stored = None if codes is None else codes.const_value
        if isinstance(stored, ir.ExternalTensor) and _is_large(node):
            _divide(graph, node, stored)


def _is_large(node: ir.Node) -> bool:
    return _number(node, "bits") == _WIDE and _number(node, "N") * _number(node, "K") > _PART


def _divide(graph: ir.Graph, node: ir.Node, codes: ir.ExternalTensor) -> None:
    rows = _number(node, "N")
    step = max(1, _PART // _number(node, "K"))
    begins = range(0, rows, step)
    parts = [_part(graph, node, codes, begin, min(begin + step, rows)) for begin in begins]
    joined = ir.node("Concat", [part.outputs[0] for part in parts], {"axis": -1})
    graph.insert_before(node, joined)
    joined.outputs[0].name = node.outputs[0].name
    node.outputs[0].replace_all_uses_with(joined.outputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _part(
    graph: ir.Graph, node: ir.Node, stored: ir.ExternalTensor, begin: int, end: int
) -> ir.Node:
    """The product with some rows of the matrix."""
    name = f"{node.name}/{begin}"
    x, _, *others = node.inputs
    codes = ir.Value(name=f"{name}/codes", const_value=_rows_of(stored, begin, end))
    graph.register_initializer(codes)
    # Scales and zero points, which other nodes may make.
    sliced = [None if one is None else _sliced(graph, node, one, (begin, end)) for one in others]
    made = ir.Node(
        node.domain,
        node.op_type,
        [x, codes, *sliced],
        attributes={**node.attributes, "N": ir.AttrInt64("N", end - begin)},
        name=name,
        num_outputs=1,
    )
    graph.insert_before(node, made)
    made.outputs[0].name = f"{name}/output_0"
    return made


def _rows_of(codes: ir.ExternalTensor, begin: int, end: int) -> ir.ExternalTensor:
    """Rows of a matrix in a file, which lie together there."""
    rows, *row = codes.shape.numpy()
    octets = codes.nbytes // rows
    assert codes.offset is not None
    return ir.ExternalTensor(
        codes.location,
        codes.offset + begin * octets,
        (end - begin) * octets,
        codes.dtype,
        shape=ir.Shape([end - begin, *row]),
        name=f"{codes.name}/{begin}",
        base_dir=codes.base_dir,
    )


def _sliced(graph: ir.Graph, node: ir.Node, value: ir.Value, rows: Sequence[int]) -> ir.Value:
    begin_end_axis = [
        ir.node("Constant", [], {"value": ir.tensor(np.array([number]))}) for number in (*rows, 0)
    ]
    cut = ir.node("Slice", [value, *(one.outputs[0] for one in begin_end_axis)])
    graph.insert_before(node, [*begin_end_axis, cut])
    return cut.outputs[0]


def _number(node: ir.Node, name: str) -> int:
    return node.attributes[name].as_int()
