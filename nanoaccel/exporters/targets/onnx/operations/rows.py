"""Operators along an axis, and products of computed matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from nanoaccel.exporters.targets.onnx.operations.operation import TYPES, Write, Written
from nanoaccel.exporters.targets.onnx.source.graph import Tokens
from nanoaccel.exporters.targets.onnx.source.trial import unsupported

_MATRIX = 2  # axes
_FEW = 8  # terms of a sum that are added one by one


def reduce(kind: str) -> Write:
    """A number for many.

    Args:
        kind: Name of the operator in ONNX.
    """
    return lambda it: _reduced(kind, it)


def _reduced(kind: str, it: Written) -> ir.Value:
    rank = len(it.node.inputs[0].shape)
    axes = [axis % rank for axis in it.integers(1)]
    for axis in axes:
        it.keep_apart(axis)
    kept = int(len(it.node.out.shape) == rank)
    return it.add(kind, [it.inputs[0], it.out.integers(axes)], keepdims=kept)


def add_up(kind: str) -> Write:
    """Sums, or means: over the last axis as a product, over a few numbers one by one.

    ONNX Runtime's own sums may depend on where in memory a row begins.

    Args:
        kind: Name of the operator in ONNX.
    """

    def write(it: Written) -> ir.Value:
        shape = it.node.inputs[0].shape
        rank = len(shape)
        axes = [axis % rank for axis in it.integers(1)]
        count = shape[axes[0]]
        if len(axes) != 1 or it.node.out.kind != "f32" or not isinstance(count, int):
            return _reduced(kind, it)
        share = 1 / count if kind == "ReduceMean" else 1.0
        keeps = len(it.node.out.shape) == rank
        if axes == [rank - 1]:
            weights = it.out.numbers(np.full((count, 1), share, np.float32))
            found = it.add("MatMul", [it.inputs[0], weights], "" if keeps else "/MatMul")
        elif count <= _FEW:
            parts = [
                _part(it, it.inputs[0], axes[0], index, f"/part_{index}") for index in range(count)
            ]
            found = _sum(parts, it)
            if share != 1:
                scale = it.out.numbers(np.float32(share).reshape(()))
                found = it.add("Mul", [found, scale], "/Mul")
        else:
            return _reduced(kind, it)
        if keeps:
            return found
        sizes = [-1 if isinstance(size, Tokens) else size for size in it.node.out.shape]
        return it.out.reshape(found, sizes, it.name)

    return write


def _part(it: Written, value: ir.Value, axis: int, index: int, name: str) -> ir.Value:
    """One of an axis of a value, which stays an axis."""
    return it.add("Gather", [value, it.out.integers([index])], name, axis=axis)


def _sum(parts: Sequence[ir.Value], it: Written) -> ir.Value:
    found = parts[0]
    for place, part in enumerate(parts[1:]):
        found = it.add("Add", [found, part], f"/Add_{place}")
    return found


def softmax(it: Written) -> ir.Value:
    """Shares that sum to 1."""
    axis = it.node.attributes["axis"] % len(it.node.out.shape)
    it.keep_apart(axis)
    return it.add("Softmax", it.inputs, axis=axis)


def top(it: Written) -> Sequence[ir.Value]:
    """The largest numbers, and where they are."""
    attributes = it.node.attributes
    axis = attributes["axis"] % len(it.node.out.shape)
    it.keep_apart(axis)
    count = it.out.integers(it.integers(1))
    node = ir.node(
        "TopK",
        [it.inputs[0], count],
        {"axis": axis, "largest": int(attributes["mode"] == "max"), "sorted": 1},
        num_outputs=2,
        name=it.name,
    )
    found = it.out.insert(node)
    kind = it.node.outputs[1].kind
    if kind == "i64":
        return found
    return [found[0], it.out.writer.add("Cast", [found[1]], f"{it.name}/Cast", to=int(TYPES[kind]))]


def cumulative_sum(it: Written) -> ir.Value:
    """Sums of all up to each."""
    axis = it.axis(1)
    it.keep_apart(axis)
    attributes = it.node.attributes
    return it.add(
        "CumSum",
        [it.inputs[0], it.out.numbers(np.array(axis, np.int64))],
        exclusive=int(attributes["exclusive"]),
        reverse=int(attributes["reverse"]),
    )


def product(it: Written) -> ir.Value:
    """A product of matrices that are computed, or of one with a stored one of other axes."""
    attributes = it.node.attributes
    shapes = [value.shape for value in it.node.inputs]
    last = len(shapes[0]) - (2 if attributes["transpose_a"] else 1)
    if isinstance(shapes[0][last], Tokens):
        raise unsupported(f"MatMul ({it.node.name}) mixes tokens")
    if it.node.inputs[1].node.constant and len(shapes[1]) > _MATRIX:
        raise unsupported(f"it multiplies with several matrices at once ({it.node.name})")
    values = list(it.inputs)
    for place, turned in enumerate((attributes["transpose_a"], attributes["transpose_b"])):
        if turned:
            rank = len(shapes[place])
            order = [*range(rank - _MATRIX), rank - 1, rank - 2]
            values[place] = it.add("Transpose", [values[place]], f"/turned_{place}", perm=order)
    count, ranks = shapes[0][last], [len(shape) for shape in shapes]
    if not isinstance(count, int) or count > _FEW or min(ranks) < _MATRIX:
        return it.add("MatMul", values)
    axes = (ranks[0] - 1, ranks[1] - 2)
    terms = []
    for index in range(count):
        pair = [
            _part(it, value, axis, index, f"/part_{place}_{index}")
            for place, (value, axis) in enumerate(zip(values, axes, strict=True))
        ]
        terms.append(it.add("Mul", pair, f"/term_{index}"))
    return _sum(terms, it)
