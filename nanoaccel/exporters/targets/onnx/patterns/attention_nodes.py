"""Writes attention: heads in and out of the padded batch, and GroupQueryAttention over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.exporters.targets.onnx.patterns.heads import Heads, as_found, by_tokens, side_by_side
from nanoaccel.exporters.targets.onnx.patterns.rotary_nodes import write_rotation
from nanoaccel.exporters.targets.onnx.rotation import Rotation

if TYPE_CHECKING:
    from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter

_EVERYTHING = -1  # a window
_INPUTS = 17  # of GroupQueryAttention
_COSINES, _SINES, _POSITIONS, _BIAS, _SINKS, _QUERY_SEQLENS = 7, 8, 9, 10, 11, 16


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AttentionNode:
    """The attention of a layer.

    Args:
        layer: Number of its cache.
        parts: Queries, new keys, new values.
        size: Numbers that a head is widened to, by zeros.
        result: What it gives.
        scale: Factor of scores.
        softcap: What scores stay within; 0 without.
        window: Tokens that a token attends to; None is all.
        slopes: What scores lose f32 [heads] for each token between (ALiBi); None without.
        sinks: Scores f32 [heads] of a token without a value; None without.
        rotation: How queries and keys are rotated; None when they are not, or were before.
        interleaved: Whether pair by pair.
        inside: Whether the node rotates them; else they are rotated in front of it.
    """

    layer: int
    parts: tuple[Heads, ...]
    size: int
    result: Heads
    scale: float
    softcap: float
    window: int | None
    slopes: NDArray[np.float32] | None
    sinks: NDArray[np.float32] | None
    rotation: Rotation | None
    interleaved: bool
    inside: bool


def write_attention(
    node: AttentionNode, out: PackedWriter, values: Sequence[ir.Value]
) -> Sequence[ir.Value]:
    """Write it behind its queries, keys and values."""
    writer = out.writer
    name = out.unique(f"/layers.{node.layer}/attn/GroupQueryAttention")
    flat: list[ir.Value | None] = []
    for kind, part, value in zip("qkv", node.parts, values, strict=True):
        if node.rotation is not None and not node.inside and kind != "v":
            value = by_tokens(part, value, out, f"{name}/{kind}")
            value = write_rotation(
                node.rotation,
                value,
                out,
                f"{name}/{kind}/rotated",
                part.size,
                interleaved=node.interleaved,
            )
            part = replace(part, form="tokens")
        flat.append(side_by_side(part, node.size, value, out, f"{name}/{kind}"))
    together = out.split_source([one for one in flat if one is not None])
    if together is not None:
        flat = [together, None, None]
    padded = [
        None
        if value is None
        else writer.add("GatherND", [value, out.input(contract.QUERY_MAP)], f"{name}/pad_{place}")
        for place, value in enumerate(flat)
    ]
    attended = _attention(node, padded, out, name)
    back = writer.add("GatherND", [attended, out.input(contract.TOKEN_MAP)], f"{name}/unpad")
    return [as_found(node.result, node.size, back, out, name)]


def _attention(
    node: AttentionNode, padded: Sequence[ir.Value | None], out: PackedWriter, name: str
) -> ir.Value:
    queries, keys, _ = node.parts
    shape = contract.cache_shape(keys.heads, node.size)
    inputs: list[ir.Value | None] = [*padded, *out.caches(node.layer, shape)]
    inputs += [out.input(contract.SEQLENS_K), out.input(contract.TOTAL_LENGTH)]
    inputs += [None] * (_INPUTS - len(inputs))
    attributes: dict[str, Any] = {
        "num_heads": queries.heads,
        "kv_num_heads": keys.heads,
        "scale": node.scale,
        "local_window_size": _EVERYTHING if node.window is None else node.window,
    }
    if node.softcap:
        attributes["softcap"] = node.softcap
    if node.rotation is not None and node.inside:
        inputs[_COSINES], inputs[_SINES] = out.rotary(node.rotation)
        inputs[_POSITIONS] = out.input(contract.ROW_POSITIONS)
        attributes |= {"do_rotary": 1, "rotary_interleaved": int(node.interleaved)}
    if node.slopes is not None:
        each = np.broadcast_to(node.slopes, queries.heads)
        slopes = out.numbers(each.reshape(1, -1, 1, 1))
        inputs[_BIAS] = out.writer.add("Mul", [slopes, out.distances()], f"{name}/alibi")
    if node.sinks is not None:
        inputs[_SINKS] = out.numbers(node.sinks)
    inputs[_QUERY_SEQLENS] = out.input(contract.QUERY_SEQLENS)
    attended, *presents = out.node("GroupQueryAttention", inputs, name, outputs=3, **attributes)
    out.give_caches(node.layer, presents, shape)
    return attended
