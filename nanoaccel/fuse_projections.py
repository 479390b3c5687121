"""Parallel projections of one input become one matrix: q/k/v, gate/up.

One large product reads its input once and is split over the threads once; on small models that is
worth a tenth of the time of a token. The pass runs after compression and joins the stored integers
and scales row by row, so the numbers do not change.

    x -> MatMul(Wq) -> q              x -> MatMul([Wq; Wk; Wv]) -> VariadicSplit -> q, k, v
    x -> MatMul(Wk) -> k     becomes
    x -> MatMul(Wv) -> v
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import openvino as ov
from openvino import opset13 as ops

_DECOMPRESSING = ("Convert", "Multiply", "Subtract", "Reshape")

Allocate: TypeAlias = Callable[[ov.Type, Sequence[int]], ov.Tensor]


def _in_memory(kind: ov.Type, shape: Sequence[int]) -> ov.Tensor:
    return ov.Tensor(kind, ov.Shape(list(shape)))


class _CannotJoinError(Exception):
    """The weights of two projections are not stored alike."""


def fuse_projections(model: ov.Model, allocate: Allocate = _in_memory) -> int:
    """Fuse, in place; projections that are stored differently stay apart.

    Args:
        model: With its weights as they are stored.
        allocate: Gives a tensor of a type and a shape that a joined matrix is written into.

    Returns:
        How many groups were fused.
    """
    fused = 0
    for projections in _parallel_projections(model):
        try:
            _fuse(projections, allocate)
        except _CannotJoinError:
            continue
        fused += 1
    model.validate_nodes_and_infer_types()
    return fused


def _parallel_projections(model: ov.Model) -> list[list[ov.Node]]:
    """Projections (MatMul with a stored, transposed matrix) by common input, two or more."""
    groups: dict[tuple[str, int], list[ov.Node]] = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() == "MatMul" and _is_projection(node):
            source = node.input(0).get_source_output()
            key = (source.get_node().get_friendly_name(), source.get_index())
            groups.setdefault(key, []).append(node)
    return [group for group in groups.values() if len(group) > 1]


def _is_projection(node: ov.Node) -> bool:
    attributes = node.get_attributes()
    weight = node.input_value(1)
    matrix = len(weight.get_partial_shape()) == 2 and _is_stored(weight.get_node())
    return bool(matrix and attributes["transpose_b"] and not attributes["transpose_a"])


def _is_stored(node: ov.Node) -> bool:
    """Whether a tensor is a constant, or what decompresses one."""
    if node.get_type_name() not in _DECOMPRESSING:
        return bool(node.get_type_name() == "Constant")
    return all(_is_stored(value.get_node()) for value in node.input_values())


def _fuse(projections: Sequence[ov.Node], allocate: Allocate) -> None:
    biases = _biases(projections)
    weights = [node.input_value(1) for node in projections]
    _check_alike(weights, axis=0)
    product = ops.matmul(projections[0].input_value(0), _join(weights, 0, allocate), False, True)
    product.set_friendly_name("+".join(node.get_friendly_name() for node in projections))
    ends = list(projections)
    if biases:
        ends = [bias.get_node() for bias in biases]
        sources = [bias.get_source_output() for bias in biases]
        product = ops.add(product, _join(sources, -1, allocate))
    widths = [node.get_output_partial_shape(0)[-1].get_length() for node in projections]
    parts = ops.variadic_split(
        product, ops.constant(np.int64(-1)), ops.constant(np.array(widths, np.int64))
    )
    for place, node in enumerate(ends):
        node.output(0).replace(parts.output(place))


def _biases(projections: Sequence[ov.Node]) -> list[ov.Input]:
    """Where stored biases enter, when all the projections have one; else nothing."""
    found = [_bias(node) for node in projections]
    biases = [bias for bias in found if bias is not None]
    if len(biases) < len(projections):
        return []
    _check_alike([bias.get_source_output() for bias in biases], axis=-1)
    return biases


def _bias(projection: ov.Node) -> ov.Input | None:
    """Where a stored bias enters, when adding it is all that happens to the product."""
    users = list(projection.output(0).get_target_inputs())
    if len(users) != 1 or users[0].get_node().get_type_name() != "Add":
        return None
    other = users[0].get_node().input(1 - users[0].get_index())
    return other if _is_stored(other.get_source_output().get_node()) else None


def _check_alike(values: Sequence[ov.Output], axis: int) -> None:
    """Whether stored tensors can be joined along an axis, with all that decompresses them.

    Raises:
        _CannotJoinError: They are stored differently.
    """
    nodes = [value.get_node() for value in values]
    kind = nodes[0].get_type_name()
    if any(node.get_type_name() != kind for node in nodes):
        raise _CannotJoinError
    if kind == "Constant":
        _check_constants(nodes, axis)
        return
    shared = any(len(value.get_target_inputs()) > 1 for value in values)
    if kind not in _DECOMPRESSING or (kind == "Reshape" and axis != 0) or shared:
        raise _CannotJoinError
    for place in _tensors(nodes[0]):
        _check_alike([node.input_value(place) for node in nodes], axis)


def _check_constants(nodes: Sequence[ov.Node], axis: int) -> None:
    kind = nodes[0].get_element_type()
    shapes = [list(node.get_output_shape(0)) for node in nodes]
    rests = {tuple(shape[1:] if axis == 0 else shape[:-1]) for shape in shapes}
    if any(node.get_element_type() != kind for node in nodes) or len(rests) > 1 or not shapes[0]:
        raise _CannotJoinError
    if axis == 0 and any(shape[0] == 1 for shape in shapes):
        raise _CannotJoinError  # a number for a whole matrix, as NVFP4 has it
    packed = kind.bitwidth < 8
    if packed and (axis != 0 or any(math.prod(s) * kind.bitwidth % 8 for s in shapes)):
        raise _CannotJoinError  # a tensor would begin inside a byte


def _tensors(node: ov.Node) -> range:
    """Inputs that hold numbers; the second one of a Reshape is a shape."""
    return range(1 if node.get_type_name() == "Reshape" else len(node.inputs()))


def _join(values: Sequence[ov.Output], axis: int, allocate: Allocate) -> ov.Output:
    """Join stored tensors that are alike."""
    nodes = [value.get_node() for value in values]
    if nodes[0].get_type_name() == "Constant":
        return _join_constants(nodes, axis, allocate)
    joined = [
        _join([node.input_value(place) for node in nodes], axis, allocate)
        for place in _tensors(nodes[0])
    ]
    kind = nodes[0].get_type_name()
    if kind == "Convert":
        # Reused, because it carries a mark that keeps the weights compressed in memory and that
        # cannot be set from Python.
        nodes[0].input(0).replace_source_output(joined[0])
        nodes[0].validate_and_infer_types()
        return nodes[0].output(0)
    if kind == "Reshape":
        shapes = [list(value.get_partial_shape().to_shape()) for value in values]
        shape = np.array([sum(s[0] for s in shapes), *shapes[0][1:]], np.int64)
        return ops.reshape(joined[0], ops.constant(shape), False).output(0)
    make = {"Multiply": ops.multiply, "Subtract": ops.subtract}[kind]
    return make(*joined).output(0)


def _join_constants(nodes: Sequence[ov.Node], axis: int, allocate: Allocate) -> ov.Output:
    """Join constants; 4-bit ones, along their first axis, as the packed bytes that they are."""
    kind = nodes[0].get_element_type()
    shape = list(nodes[0].get_output_shape(0))
    shape[axis] = sum(node.get_output_shape(0)[axis] for node in nodes)
    tensor = allocate(kind, shape)  # owns its memory; one made over an array would not
    octets = tensor.data.view(np.uint8).ravel()
    if axis == 0:
        parts = [node.data.view(np.uint8).ravel() for node in nodes]
        np.concatenate(parts, out=octets)
    else:
        data = np.concatenate([node.data for node in nodes], axis)
        octets[:] = np.ascontiguousarray(data).view(np.uint8).ravel()
    return ops.constant(tensor).output(0)
