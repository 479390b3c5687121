"""Attention over the cache: one scaled dot product, or the same spelled out.

    queries, Concat(past, new) of keys and of values, mask -> GroupQueryAttention

Keys and values that several layers share are cached once: their nodes read one input. Queries, keys
and values go in as tokens have them, [1, T, heads * size]; see ``bundle.packed_graph``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.patterns.attention_nodes import (
    AttentionNode,
    write_attention,
)
from nanoaccel.exporters.targets.onnx.patterns.heads import (
    fixed_size,
    heads_of,
    is_turn,
    result_heads,
)
from nanoaccel.exporters.targets.onnx.patterns.masks import Masks
from nanoaccel.exporters.targets.onnx.patterns.plan import Pattern
from nanoaccel.exporters.targets.onnx.patterns.rotary import Rotated, Rotations
from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import Node, SourceGraph, Value
from nanoaccel.exporters.targets.onnx.source.trial import unsupported

_TURN = [0, 2, 1, 3]  # between [1, heads, T, D] and [1, T, heads, D]
_STATE = re.compile(r"past_key_values\.(\d+)\.(key|value)")
_BLOCK = 16  # numbers of a head come in multiples of it
_PAIRS = 8  # and pairs that it rotates in multiples of this


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Attention as the graph has it.

    Args:
        result: What it gives, [1, heads, T, E].
        queries: [1, heads, T, D].
        keys: Of all tokens, [1, heads, S, D].
        values: The same, E numbers of a head.
        mask: Who sees whom.
        scale: Factor of scores.
        softcap: What scores stay within; 0 without.
        sinks: Scores f32 [heads] of a token without a value; None without.
    """

    result: Value
    queries: Value
    keys: Value
    values: Value
    mask: Value
    scale: float
    softcap: float = 0.0
    sinks: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Cached:
    """What a layer caches.

    Args:
        keys: New keys, [1, heads, T, D].
        values: New values, [1, heads, T, E].
        layer: Number of the cache.
    """

    keys: Value
    values: Value
    layer: int


def find_attention(
    graph: SourceGraph, constants: Constants, masks: Masks, rotations: Rotations
) -> Iterator[Pattern]:
    """Find the attention of all layers; each reads queries, new keys, new values.

    Raises:
        UnsupportedModelError: Some cannot be computed by GroupQueryAttention.
    """
    for node in graph.of_kind("ScaledDotProductAttention", "Softmax"):
        if node.kind == "Softmax":
            found = _spelled_out(node, constants)
        else:
            found = _single(node, constants)
        if found is not None:
            yield _pattern(found, _cached(found), masks, rotations)


def _single(node: Node, constants: Constants) -> _Found:
    if len(node.inputs) < 4 or node.attributes.get("causal"):
        raise unsupported(f"the attention of {node.name} has no mask")
    queries, keys, values, mask, *others = node.inputs
    scale = constants.scalar(others[0]) if others else fixed_size(queries.shape[-1]) ** -0.5
    if scale is None:
        raise unsupported(f"the scale of {node.name} depends on tokens")
    sinks = constants.array(others[1]).astype(np.float32).ravel() if len(others) > 1 else None
    return _Found(node.out, queries, keys, values, mask, scale, sinks=sinks)


def _spelled_out(node: Node, constants: Constants) -> _Found | None:
    """Products and a softmax, as the traced graph has soft caps; None for another softmax."""
    product = node.out.only_user()
    total = node.inputs[0].node
    if product is None or product.kind != "MatMul" or total.kind != "Add":
        return None
    scores, mask = total.inputs
    scale = softcap = 1.0
    capped = scores.node.kind == "Multiply" and _computed(scores.node).node.kind == "Tanh"
    if capped:
        softcap = _factor(scores.node, constants)
        scores = _computed(scores.node).node.inputs[0]
    while scores.node.kind in ("Multiply", "Divide"):
        factor = _factor(scores.node, constants)
        scale = scale * factor if scores.node.kind == "Multiply" else scale / factor
        scores = _computed(scores.node)
    first = scores.node
    if first.kind != "MatMul":
        return None
    keys = first.inputs[1]
    if not first.attributes["transpose_b"]:
        if keys.node.kind != "Transpose":
            return None
        keys = keys.node.inputs[0]
    cap = softcap if capped else 0.0
    scale = scale * cap if capped else scale
    return _Found(product.out, first.inputs[0], keys, product.inputs[1], mask, scale, cap)


def _computed(node: Node) -> Value:
    """The one input that is no constant."""
    return next(value for value in node.inputs if not value.node.constant)


def _factor(node: Node, constants: Constants) -> float:
    found = [constants.scalar(value) for value in node.inputs if value.node.constant]
    if len(found) != 1 or found[0] is None:
        raise unsupported(f"scores of its attention are scaled in another way ({node.name})")
    return found[0]


def _pattern(found: _Found, cached: _Cached, masks: Masks, rotations: Rotations) -> Pattern:
    keys, values = cached.keys, cached.values
    turned = _rotated(found.queries, keys, rotations)
    sizes = [fixed_size(value.shape[-1]) for value in (found.queries, values)]
    aligned = -(-max(sizes) // _BLOCK) * _BLOCK
    sources = [found.queries, keys] if turned is None else [one.source for one in turned]
    parts = [heads_of(value) for value in (*sources, values)]
    make, result, places = result_heads(found.result)
    mask = masks.read(found.mask)
    node = AttentionNode(
        layer=cached.layer,
        parts=tuple(parts),
        size=aligned,
        result=places,
        scale=found.scale,
        softcap=found.softcap,
        window=mask.window,
        slopes=mask.slopes,
        sinks=found.sinks,
        rotation=None if turned is None else turned[0].rotation,
        interleaved=turned is not None and turned[0].interleaved,
        inside=turned is not None
        and aligned == sizes[0]
        and len(turned[0].rotation.frequencies) % _PAIRS == 0,
    )
    return Pattern(make, [part.source for part in parts], [result], partial(write_attention, node))


def _rotated(queries: Value, keys: Value, rotations: Rotations) -> tuple[Rotated, Rotated] | None:
    """How both are rotated; None where they are not, or not alike."""
    pair = [rotations.find(_turned(value)) for value in (queries, keys)]
    first, second = pair
    if first is None or second is None or not first.turns_like(second):
        return None
    return first, second


def _turned(value: Value) -> Value:
    """Behind a Transpose, what is transposed: heads are rotated one by one, wherever they stand."""
    return value.node.inputs[0] if is_turn(value.node) else value


def _cached(found: _Found) -> _Cached:
    """What a layer caches; keys and values may be repeated for the heads of a group."""
    keys, values = (_joined(_ungrouped(value)) for value in (found.keys, found.values))
    if keys is None or values is None:
        raise unsupported(
            f"its attention reads keys in another way than from a cache ({found.keys.name})"
        )
    if keys[1] != values[1]:
        raise unsupported(f"keys and values of {found.result.name} are cached apart")
    return _Cached(keys[0], values[0], keys[1])


def _ungrouped(value: Value) -> Value:
    """Keys or values before they are repeated for the heads of a group."""
    while value.node.kind in ("Reshape", "Broadcast", "Unsqueeze"):
        node = value.node
        if node.kind == "Unsqueeze" and node.out.shape[2] != 1:
            break
        value = node.inputs[0]
    return value


def _joined(value: Value) -> tuple[Value, int] | None:
    """New states behind cached ones, and the number of their cache; None for another value."""
    node = value.node
    if node.kind != "Concat" or len(node.inputs) != 2 or len(value.shape) != 4:
        return None
    state = node.inputs[0].node
    state = state.inputs[0].node if state.kind == "Gather" else state
    if state.kind != "ReadValue" or node.inputs[1].token_axes != [2]:
        return None
    match = _STATE.match(str(state.attributes["variable_id"]))
    return None if match is None else (node.inputs[1], int(match[1]))
