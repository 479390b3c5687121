"""Tokens in front of channels, where a graph has channels in front of tokens.

Layers with convolutions turn what they compute with, and turn it back. Operators of a packed graph
read tokens first, so what stands between two turns is written again without any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter

TURN = [0, 2, 1]
_CHANNELS = 1  # their axis before the turn; behind it, it is the next one


def turned(value: ir.Value, out: PackedWriter, name: str) -> ir.Value:
    """A value [1, C, T] as [1, T, C].

    Args:
        value: The value.
        out: Writes into the packed graph.
        name: All names begin with it.
    """
    node = value.producer()
    if node is None or not _turnable(value):
        return out.writer.add("Transpose", [value], f"{name}/turned", perm=TURN)
    if node.op_type == "Transpose":
        return _inputs(node)[0][1]
    if node.op_type == "Mul":
        parts = [turned(one, out, f"{name}/{place}") for place, one in _inputs(node)]
        return out.writer.add("Mul", parts, f"{name}/Mul")
    (_, whole), *ends = _inputs(node)
    axis = out.integers([_CHANNELS + 1])
    inputs = [turned(whole, out, f"{name}/whole"), *(end for _, end in ends[:2]), axis]
    return out.writer.add("Slice", inputs, f"{name}/Slice")


def _turnable(value: ir.Value) -> bool:
    """Whether a value was turned, or is made of such values number by number, or of channels."""
    node = value.producer()
    if node is None:
        return False
    if node.op_type == "Transpose":
        return list(node.attributes["perm"].as_ints()) == TURN
    if node.op_type == "Mul":
        return all(_turnable(one) for _, one in _inputs(node))
    if node.op_type != "Slice" or len(node.inputs) != len(("value", "begin", "end", "axis")):
        return False
    axes = node.inputs[3]
    kept = None if axes is None else axes.const_value
    return (
        kept is not None and kept.numpy().tolist() == [_CHANNELS] and _turnable(_inputs(node)[0][1])
    )


def _inputs(node: ir.Node) -> list[tuple[int, ir.Value]]:
    return [(place, one) for place, one in enumerate(node.inputs) if one is not None]
