"""The rotary embedding turns as the model's does, and its tables are not stored.

The builder computes tables of its own from the config, which it does not always read as
transformers does; and with a row for each position, they are a good part of a small model's file.
The model's own frequencies take their place. ONNX Runtime folds what follows when it loads:

    Range(0, C) [C, 1] * frequencies [1, D / 2] -> Cos, Sin -> * scale
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.exporters.onnx.stored import Array

# Where a node reads its table of cosines; that of sines is the next one.
_TABLES = {"GroupQueryAttention": 7, "RotaryEmbedding": 2}


@dataclass(frozen=True, slots=True, eq=False)
class Rotation:
    """How a rotary embedding turns.

    Args:
        frequencies: f32 [D / 2], radians a position.
        scale: Of cosines and sines.
    """

    frequencies: NDArray[np.float32]
    scale: float


def compute_rotary_caches(graph: ir.Graph, rotations: Sequence[Rotation]) -> None:
    """Edit a graph, in place; tables that belong to no rotation stay as they are.

    Args:
        graph: Of the builder.
        rotations: Of the model. Where it has several, each table gets the one most like it.
    """
    done: set[str | None] = set()
    for node in list(graph):
        place = _TABLES.get(node.op_type)
        if place is None or len(node.inputs) <= place + 1:
            continue
        cosines, sines = node.inputs[place], node.inputs[place + 1]
        if cosines is None or sines is None or cosines.name in done:
            continue
        done.add(cosines.name)
        if cosines.const_value is not None and sines.const_value is not None:
            tables = cosines.const_value.numpy(), sines.const_value.numpy()
            found = most_like(rotations, *tables)
            if found is not None:
                _replace(graph, cosines, sines, found)


def most_like(
    rotations: Sequence[Rotation], cosines: NDArray[np.float32], sines: NDArray[np.float32]
) -> Rotation | None:
    """The rotation of these tables [C, D / 2], by their row for position 1; None without one."""
    known = [one for one in rotations if len(one.frequencies) == cosines.shape[1]]
    if not known or len(cosines) < 2:
        return None
    angles = np.arctan2(sines[1], cosines[1])
    return min(known, key=lambda one: float(np.abs(np.log(one.frequencies / angles)).max()))


def _replace(graph: ir.Graph, cosines: ir.Value, sines: ir.Value, found: Rotation) -> None:
    assert cosines.shape is not None
    rows, name = cosines.shape[0], f"rotary/{cosines.name}"
    assert isinstance(rows, int)
    nodes: list[ir.Node] = []

    def stored(what: str, array: Array) -> ir.Value:
        value = ir.val(f"{name}/{what}", const_value=ir.tensor(array, name=f"{name}/{what}"))
        graph.register_initializer(value)
        return value

    def add(kind: str, *inputs: ir.Value) -> ir.Value:
        node = ir.node(kind, inputs, name=f"{name}/{kind}_{len(nodes)}")
        node.outputs[0].name = f"{node.name}/output_0"
        nodes.append(node)
        return node.outputs[0]

    ends = {"begin": 0, "end": rows, "step": 1}
    limits = [stored(what, np.array(n, np.float32)) for what, n in ends.items()]
    column = stored("column", np.array([-1, 1], np.int64))
    positions = add("Reshape", add("Range", *limits), column)
    angles = add("Mul", positions, stored("frequencies", found.frequencies[None]))
    for kind, table in (("Cos", cosines), ("Sin", sines)):
        made = add(kind, angles)
        if found.scale != 1:
            made = add("Mul", made, stored(f"scale of {kind}", np.array(found.scale, np.float32)))
        table.replace_all_uses_with(made)
    graph.insert_before(graph[0], nodes)
