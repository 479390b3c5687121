"""Values of which a slice is assigned: traced as numbers that are scattered over all of it.

Reshape(ScatterNDUpdate(flat x, flat places of x[a:b], flat u)) -> Concat(x[:a], u, x[b:])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import onnx_ir as ir

from nanoaccel.exporters.targets.onnx.patterns.plan import Pattern, Plan
from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import Node, SourceGraph, Tokens, Value

if TYPE_CHECKING:
    from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter


@dataclass(frozen=True, slots=True)
class _Slice:
    """Places from one on to another one, along an axis of some size."""

    axis: int
    begin: int
    end: int
    size: int


def find_assigned_slices(graph: SourceGraph, plan: Plan, constants: Constants) -> None:
    """Find all slices that are assigned."""
    for node in graph.of_kind("ScatterNDUpdate"):
        result = node.out.only_user()
        flat, places, given = (value.node for value in node.inputs[:3])
        if result is None or {one.kind for one in (result, flat, places, given)} != {"Reshape"}:
            continue
        x, u = flat.inputs[0], given.inputs[0]
        part = _slice(places.inputs[0], x, constants)
        if part is not None and result.out.shape == x.shape and u.shape == places.inputs[0].shape:
            plan.add(Pattern(result, [x, u], [result.out], partial(_write, part, result)))


def _slice(value: Value, x: Value, constants: Constants) -> _Slice | None:
    """Which slice of x some places are: those of a slice of all places, which have its shape."""
    node = value.node
    if node.kind != "Slice" or node.inputs[0].shape != x.shape or not _counts(node.inputs[0].node):
        return None
    numbers = [constants.integers(one) for one in node.inputs[1:]]
    if len(numbers) < 4 or any(one is None or len(one) != 1 for one in numbers):
        return None
    begin, end, step, axis = (one[0] for one in numbers if one is not None)
    axis %= len(x.shape)
    size = x.shape[axis]
    if step != 1 or isinstance(size, Tokens):
        return None
    low, high, _ = slice(begin, end).indices(size)
    return _Slice(axis, low, high, size)


def _counts(node: Node) -> bool:
    """Whether a node gives 0, 1, 2, ... in a shape."""
    return node.kind == "Reshape" and node.inputs[0].node.kind == "Range"


def _write(
    part: _Slice, node: Node, out: PackedWriter, values: Sequence[ir.Value]
) -> Sequence[ir.Value]:
    x, u = values
    name = out.name_of(node)
    parts = [u]
    for begin, end in ((part.end, part.size), (0, part.begin)):
        if begin < end:
            ends = [out.integers([number]) for number in (begin, end, part.axis)]
            kept = out.writer.add("Slice", [x, *ends], f"{name}/from_{begin}")
            parts = [kept, *parts] if begin == 0 else [*parts, kept]
    return [out.writer.add("Concat", parts, f"{name}/Concat", axis=part.axis)]
