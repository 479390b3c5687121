"""Computes rotary tables from the model's own frequencies, so that they are not stored.

The builder computes tables of its own from the config, which it does not always read as
transformers does. Nodes that make them from the model's own frequencies take their place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.rotation import Rotation, rotary_tables
from nanoaccel.exporters.targets.onnx.writer import Writer

# Where a node reads its table of cosines; that of sines is the next one.
_TABLES = {"GroupQueryAttention": 7, "RotaryEmbedding": 2}


def compute_rotary_caches(graph: ir.Graph, rotations: Sequence[Rotation], positions: int) -> None:
    """Edit a graph, in place; tables that belong to no rotation stay as they are.

    Args:
        graph: Graph of the builder.
        rotations: Rotations of the model. Of several, each table gets the one most like it.
        positions: Rows of the tables at least; the builder does not count on scaled contexts.
    """
    done: set[str | None] = set()
    writer = Writer(graph)
    writer.before(graph[0])
    for node in list(graph):
        index = _TABLES.get(node.op_type)
        if index is None or len(node.inputs) <= index + 1:
            continue
        cosines, sines = node.inputs[index], node.inputs[index + 1]
        if cosines is None or sines is None or cosines.name in done:
            continue
        done.add(cosines.name)
        if cosines.const_value is not None and sines.const_value is not None:
            tables = cosines.const_value.numpy(), sines.const_value.numpy()
            found = most_like(rotations, *tables)
            if found is not None:
                rows = max(positions, len(tables[0]))
                made = rotary_tables(writer, found, rows, f"rotary/{cosines.name}")
                cosines.replace_all_uses_with(made[0])
                sines.replace_all_uses_with(made[1])


def most_like(
    rotations: Sequence[Rotation], cosines: NDArray[np.float32], sines: NDArray[np.float32]
) -> Rotation | None:
    """The rotation of these tables [C, D / 2], by their row for position 1; None without one."""
    known = [one for one in rotations if len(one.frequencies) == cosines.shape[1]]
    if not known or len(cosines) < 2:
        return None
    angles = np.arctan2(sines[1], cosines[1])
    return min(known, key=lambda one: float(np.abs(np.log(one.frequencies / angles)).max()))
