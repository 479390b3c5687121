"""Tables of a rotary embedding as nodes, which ONNX Runtime folds when it loads.

With a row for each position, stored tables would be a good part of a small model's file.

    Range(0, C) [C, 1] * frequencies [1, D / 2] -> Cos, Sin -> * scale
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.writer import Writer


@dataclass(frozen=True, slots=True, eq=False)
class Rotation:
    """Frequencies and scale of a rotary embedding.

    Args:
        frequencies: f32 [D / 2], radians a position.
        scale: Scale of cosines and sines.
    """

    frequencies: NDArray[np.float32]
    scale: float = 1.0


def rotary_tables(
    writer: Writer, rotation: Rotation, positions: int, name: str
) -> tuple[ir.Value, ir.Value]:
    """Cosines and sines, f32 [C, D / 2].

    Args:
        writer: Adds the nodes.
        rotation: How it turns.
        positions: C, rows of the tables.
        name: All names begin with it.
    """
    ends = {"begin": 0, "end": positions, "step": 1}
    limits = [writer.constant(np.float32(n), f"{name}/{what}") for what, n in ends.items()]
    column = writer.constant(np.array([-1, 1], np.int64), f"{name}/column")
    positions_column = writer.add(
        "Reshape", [writer.add("Range", limits, f"{name}/Range"), column], f"{name}/places"
    )
    frequencies = writer.constant(rotation.frequencies[None], f"{name}/frequencies")
    angles = writer.add("Mul", [positions_column, frequencies], f"{name}/angles")
    cosines, sines = (writer.add(kind, [angles], f"{name}/{kind}") for kind in ("Cos", "Sin"))
    if rotation.scale == 1:
        return cosines, sines
    scale = writer.constant(np.float32(rotation.scale), f"{name}/scale")
    return (
        writer.add("Mul", [cosines, scale], f"{name}/cosines"),
        writer.add("Mul", [sines, scale], f"{name}/sines"),
    )
