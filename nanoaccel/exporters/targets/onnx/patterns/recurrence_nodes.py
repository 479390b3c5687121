"""Writes a recurrence: heads side by side, and LinearAttention over them.

LinearAttention (domain nanoaccel), T tokens of some sequences one after the other
  queries, keys  f32 [1, T, key_heads * key_size]
  values         f32 [1, T, num_heads * value_size]
  steps          f32 [1, T, S], before their bias and softplus: one of each head; by the delta rule
                 also one of each number of a key, without it also one of each number of a value
  bias           f32 [S]
  decay          f32 [num_heads]; where S is of values f32 [num_heads, key_size, value_size]
  betas          f32 [1, T, num_heads], of the gated delta rule; none in the scans of Mamba
  and the states, as ``packed_graph.STATE_INPUTS``
gives
  read           f32 [1, T, num_heads * value_size]
attributes num_heads, key_heads, key_size, value_size, scale (of queries), unit (whether keys and
queries get length 1), epsilon (added to their squares), least and most (of steps), state_offset
(numbers of other layers in a state)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.patterns.heads import Heads, as_found, side_by_side
from nanoaccel.exporters.targets.onnx.source.graph import Node

if TYPE_CHECKING:
    from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter

_COLUMNS = 16  # of a state, that lie in one piece
_ENDLESS = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Recurrence:
    """A recurrence.

    Args:
        parts: Queries, keys, values.
        result: What it gives.
        scale: Factor of queries.
        epsilon: What is added to squares when keys and queries get length 1; None when they do not.
        bias: f32 [steps], added to what steps are made of.
        decay: f32 [heads], the exponent of what a step keeps of a state; or f32 [heads, keys,
            values], of each cell.
        limits: The least and the greatest step.
        delta: Whether by the delta rule.
    """

    parts: tuple[Heads, ...]
    result: Heads
    bias: NDArray[np.float32]
    decay: NDArray[np.float32]
    limits: tuple[float, float]
    scale: float = 1.0
    epsilon: float | None = None
    delta: bool = False


def write_recurrence(
    found: Recurrence, place: Node, out: PackedWriter, values: Sequence[ir.Value]
) -> Sequence[ir.Value]:
    """Write it behind its queries, keys, values and gates."""
    name = f"{out.name_of(place)}/LinearAttention"
    queries, _, valued = found.parts
    flat = [
        side_by_side(part, part.size, value, out, f"{name}/{kind}")
        for kind, part, value in zip("qkv", found.parts, values[:3], strict=True)
    ]
    betas = values[4] if found.delta else None
    numbers = [out.numbers(array) for array in (found.bias, found.decay)]
    least, most = (min(limit, _ENDLESS) for limit in found.limits)
    made = out.with_state(
        "LinearAttention",
        [*flat, values[3], *numbers, betas],
        valued.heads * queries.size * -(-valued.size // _COLUMNS) * _COLUMNS,
        name,
        num_heads=valued.heads,
        key_heads=queries.heads,
        key_size=queries.size,
        value_size=valued.size,
        scale=found.scale,
        unit=int(found.epsilon is not None),
        epsilon=found.epsilon or 0.0,
        least=least,
        most=most,
    )
    return [as_found(found.result, valued.size, made, out, name)]
