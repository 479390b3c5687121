"""Writes a rotation number by number, where GroupQueryAttention does not take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.exporters.targets.onnx.rotation import Rotation

if TYPE_CHECKING:
    from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter

_HEADS = 2  # an axis


def write_rotation(
    rotation: Rotation,
    x: ir.Value,
    out: PackedWriter,
    name: str,
    size: int,
    *,
    interleaved: bool,
) -> ir.Value:
    """Turn the first numbers of each head.

    Args:
        rotation: How they are turned.
        x: f32 [1, T, heads, size].
        out: Writes into the packed graph.
        name: All names begin with it.
        size: Numbers of a head.
        interleaved: Whether pairs stand beside each other, or half of them apart.
    """
    writer = out.writer
    pairs = len(rotation.frequencies)
    cosines, sines = (
        _at_positions(table, out, f"{name}/{kind}")
        for kind, table in zip(("cosines", "sines"), out.rotary(rotation), strict=True)
    )
    low, high = (
        _cut(x, (0, 2 * pairs, 2), (1, 2 * pairs, 2), out, name)
        if interleaved
        else _cut(x, (0, pairs, 1), (pairs, 2 * pairs, 1), out, name)
    )

    def product(a: ir.Value, b: ir.Value, kind: str) -> ir.Value:
        return writer.add("Mul", [a, b], f"{name}/{kind}")

    first = writer.add(
        "Sub", [product(low, cosines, "a"), product(high, sines, "b")], f"{name}/first"
    )
    second = writer.add(
        "Add", [product(high, cosines, "c"), product(low, sines, "d")], f"{name}/second"
    )
    parts = [first, second]
    if interleaved:
        axis = out.integers([-1])
        apart = [
            writer.add("Unsqueeze", [part, axis], f"{name}/apart_{place}")
            for place, part in enumerate(parts)
        ]
        beside = writer.add("Concat", apart, f"{name}/beside", axis=-1)
        parts = [out.reshape(beside, [0, 0, 0, 2 * pairs], f"{name}/in_turns")]
    if size > 2 * pairs:
        ends = [out.integers([number]) for number in (2 * pairs, size, -1)]
        parts.append(writer.add("Slice", [x, *ends], f"{name}/rest"))
    return parts[0] if len(parts) == 1 else writer.add("Concat", parts, name, axis=-1)


def _at_positions(table: ir.Value, out: PackedWriter, name: str) -> ir.Value:
    """Rows of a table for each token, [1, T, 1, pairs]."""
    rows = out.writer.add("Gather", [table, out.input(contract.POSITIONS)], f"{name}/Gather")
    return out.writer.add("Unsqueeze", [rows, out.integers([_HEADS])], name)


def _cut(
    x: ir.Value,
    first: tuple[int, int, int],
    second: tuple[int, int, int],
    out: PackedWriter,
    name: str,
) -> tuple[ir.Value, ir.Value]:
    """Two parts of each head, by begin, end and step."""
    found = []
    for kind, (begin, end, step) in (("low", first), ("high", second)):
        parts = [out.integers([number]) for number in (begin, end, -1, step)]
        found.append(out.writer.add("Slice", [x, *parts], f"{name}/{kind}"))
    return found[0], found[1]
