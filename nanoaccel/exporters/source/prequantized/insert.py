"""Puts a checkpoint's own 4-bit integers into a traced graph.

The matrix of a projection is replaced by the nodes that NNCF makes for its 4-bit weights, which
the CPU plugin computes with as they are:

    u4 [out, groups, group] -> Convert -> Subtract(zero points) -> Multiply(scales) -> Reshape

and i4 without the subtraction where all zero points are 8. Under act-order the columns were moved
to bring the groups together; a Gather moves the projection's input likewise. Projections of one
input that were quantized together share it, and can be fused like any others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from nanoaccel.exporters.source.prequantized.packed import PackedWeight

_PREFIX = "__module."
_SIGN = np.uint8(8)  # u4 with zero point 8 becomes i4 when the highest bit is flipped

_Gathers: TypeAlias = dict[tuple[str, int, bytes], ov.Output]


def insert_packed(model: ov.Model, packed: Mapping[str, PackedWeight]) -> tuple[int, list[str]]:
    """Replace the weights of projections, in place; do it before projections are fused.

    Args:
        model: As traced, or after the compression of other layers.
        packed: Weights by torch module name ("model.layers.0.self_attn.q_proj").

    Returns:
        How many projections were replaced, and the names for which the graph has no projection of
        that shape.
    """
    inserted = 0
    left = dict.fromkeys(packed)
    gathers: _Gathers = {}
    for node in model.get_ordered_ops():
        name = _module(node)
        if name not in packed or not _fits(node, packed[name]):
            continue
        _replace(node, name, packed[name], gathers)
        left.pop(name, None)
        inserted += 1
    model.validate_nodes_and_infer_types()
    return inserted, list(left)


def _module(node: ov.Node) -> str:
    """The torch module that a node was traced from."""
    return str(node.get_friendly_name()).removeprefix(_PREFIX).partition("/")[0]


def _fits(node: ov.Node, weight: PackedWeight) -> bool:
    if node.get_type_name() != "MatMul":
        return False
    attributes = node.get_attributes()
    shape = node.input_value(1).get_partial_shape()
    stored = shape.is_static and tuple(shape.to_shape()) == weight.integers.shape
    return stored and attributes["transpose_b"] and not attributes["transpose_a"]


def _replace(node: ov.Node, name: str, weight: PackedWeight, gathers: _Gathers) -> None:
    kind = node.input_value(1).get_element_type()
    node.input(1).replace_source_output(_decompressed(name, weight, kind))
    if weight.permutation is not None:
        source = node.input_value(0)
        node.input(0).replace_source_output(_gathered(source, weight.permutation, gathers))


def _gathered(source: ov.Output, permutation: NDArray[np.int64], gathers: _Gathers) -> ov.Output:
    """The input with its last axis permuted; the same node for the same input and order."""
    key = (source.get_node().get_friendly_name(), source.get_index(), permutation.tobytes())
    if key not in gathers:
        order = ops.constant(permutation.astype(np.int32))
        gathers[key] = ops.gather(source, order, ops.constant(np.int64(-1))).output(0)
    return gathers[key]


def _decompressed(name: str, weight: PackedWeight, kind: ov.Type) -> ov.Output:
    """Nodes from the stored integers to the matrix [out, in] of a type."""
    rows, columns = weight.integers.shape
    groups = columns // weight.group_size
    few = [rows, 1] if groups == 1 else [rows, groups, 1]
    many = [*few[:-1], weight.group_size]
    real = ov.Type(weight.scales.dtype)
    scales = ops.constant(np.ascontiguousarray(weight.scales).reshape(few))
    if weight.symmetric:
        values = ops.convert(_nibbles(weight.integers ^ _SIGN, ov.Type.i4, many, name), real)
    else:
        zeros = _nibbles(weight.zero_points, ov.Type.u4, few, f"{name}/zero_point")
        values = ops.convert(_nibbles(weight.integers, ov.Type.u4, many, name), real)
        values = ops.subtract(values, ops.convert(zeros, real))
    values = ops.multiply(values, scales)
    if groups > 1:
        values = ops.reshape(values, ops.constant(np.array([rows, columns], np.int64)), False)
    return (values if kind == real else ops.convert(values, kind)).output(0)


def _nibbles(
    integers: NDArray[np.uint8], kind: ov.Type, shape: Sequence[int], name: str
) -> ov.Node:
    """A constant of 4-bit integers, two in a byte, the earlier one in the lower half."""
    flat = integers.ravel()
    flat = np.pad(flat, (0, flat.size % 2))
    tensor = ov.Tensor(kind, ov.Shape(list(shape)))  # owns its memory, as the constant needs
    tensor.data.view(np.uint8).ravel()[:] = flat[::2] | flat[1::2] << 4
    constant = ops.constant(tensor)
    constant.set_friendly_name(name)
    return constant
