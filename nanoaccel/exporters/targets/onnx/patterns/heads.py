"""Values that have numbers of several heads: how these stand in them, and in operators."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import onnx_ir as ir

from nanoaccel.exporters.targets.onnx.source.graph import Node, Value
from nanoaccel.exporters.targets.onnx.source.trial import unsupported

if TYPE_CHECKING:
    from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter

# [1, T, heads * D], [1, T, heads, D] or [1, heads, T, D]
Form: TypeAlias = Literal["flat", "tokens", "heads"]
_TURN = [0, 2, 1, 3]  # between the last two


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """A value that has numbers of several heads.

    Args:
        source: The value.
        heads: How many.
        size: Numbers of each.
        form: How they stand in it.
    """

    source: Value
    heads: int
    size: int
    form: Form


def heads_of(value: Value) -> Heads:
    """The value that queries, keys or new values are taken from, and how it has its heads."""
    inner = before_reshapes(value.node.inputs[0] if is_turn(value.node) else value)
    tokens = inner.token_axes == [1]
    heads = fixed_size(inner.shape[2 if tokens else 1])
    size = fixed_size(inner.shape[3])
    if tokens and inner.node.kind == "Reshape":
        flat = inner.node.inputs[0]
        if flat.shape == (1, inner.shape[1], heads * size):
            return Heads(flat, heads, size, "flat")
    return Heads(inner, heads, size, "tokens" if tokens else "heads")


def result_heads(value: Value) -> tuple[Node, Value, Heads]:
    """The node in whose place attention is written, what it makes, and how that has its heads."""
    heads, size = fixed_size(value.shape[1]), fixed_size(value.shape[3])
    found = Heads(value, heads, size, "heads")
    turn = value.only_user()
    if turn is None or not is_turn(turn):
        return value.node, value, found
    found = replace(found, source=turn.out, form="tokens")
    flat = turn.out.only_user()
    whole = (1, turn.out.shape[1], heads * size)
    if flat is not None and flat.kind == "Reshape" and flat.out.shape == whole:
        return flat, flat.out, replace(found, source=flat.out, form="flat")
    return turn, turn.out, found


def before_reshapes(value: Value) -> Value:
    """The value before reshapes that change nothing."""
    while value.node.kind == "Reshape" and value.node.inputs[0].shape == value.shape:
        value = value.node.inputs[0]
    return value


def is_turn(node: Node) -> bool:
    if node.kind != "Transpose" or not node.inputs[1].node.constant:
        return False
    order = node.inputs[1].node.origin
    return bool(order.get_type_name() == "Constant" and order.data.tolist() == _TURN)


def fixed_size(size: object) -> int:
    if not isinstance(size, int):
        raise unsupported("heads of its attention have no fixed size")
    return size


def side_by_side(part: Heads, size: int, value: ir.Value, out: PackedWriter, name: str) -> ir.Value:
    """Numbers of all heads side by side, [1, T, heads * size]; zeros behind those of a head."""
    if part.form == "flat" and part.size == size:
        return value
    value = by_tokens(part, value, out, name)
    if part.size != size:
        ends = out.integers([0, 0, 0, 0, 0, 0, 0, size - part.size])
        value = out.writer.add("Pad", [value, ends], f"{name}/widened")
    return out.reshape(value, [1, -1, part.heads * size], f"{name}/flat")


def by_tokens(part: Heads, value: ir.Value, out: PackedWriter, name: str) -> ir.Value:
    """Numbers of heads apart, [1, T, heads, D]."""
    if part.form == "heads":
        return out.writer.add("Transpose", [value], f"{name}/turned", perm=_TURN)
    if part.form == "flat":
        return out.reshape(value, [1, -1, part.heads, part.size], f"{name}/apart")
    return value


def as_found(result: Heads, size: int, value: ir.Value, out: PackedWriter, name: str) -> ir.Value:
    """A result as the graph has it.

    Args:
        result: How it has its heads there.
        size: Numbers of a head of the value.
        value: f32 [1, T, heads * size].
        out: Writes into the packed graph.
        name: All names begin with it.
    """
    if result.form == "flat" and result.size == size:
        return value
    writer = out.writer
    value = out.reshape(value, [1, -1, result.heads, size], f"{name}/apart")
    if result.size != size:
        ends = [out.integers([number]) for number in (0, result.size, -1)]
        value = writer.add("Slice", [value, *ends], f"{name}/narrowed")
    if result.form == "tokens":
        return value
    if result.form == "heads":
        return writer.add("Transpose", [value], f"{name}/back", perm=_TURN)
    return out.reshape(value, [1, -1, result.heads * result.size], f"{name}/flat")
