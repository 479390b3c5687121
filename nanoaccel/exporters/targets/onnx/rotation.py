"""Tables of a rotary embedding as nodes, which ONNX Runtime folds when it loads.

With a row for each position, stored tables would be a good part of a small model's file.

    Range(0, C) [C, 1] * frequencies [1, D / 2] -> Cos, Sin -> * scale

Where long texts have frequencies of their own, their rows stand behind those of short ones.
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
        long: The frequencies of long texts; None where all texts have the same.
        border: Tokens of the longest text that is short, where there are others.
    """

    frequencies: NDArray[np.float32]
    scale: float = 1.0
    long: NDArray[np.float32] | None = None
    border: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for rotations that are alike."""
        long = None if self.long is None else self.long.tobytes()
        return self.frequencies.tobytes(), self.scale, long, self.border


def rotary_tables(
    writer: Writer, rotation: Rotation, positions: int, name: str
) -> tuple[ir.Value, ir.Value]:
    """Cosines and sines, f32 [C, D / 2]; of rotations with two frequencies [border + C, D / 2].

    Args:
        writer: Adds the nodes.
        rotation: How it turns.
        positions: C, positions that a text can have.
        name: All names begin with it.
    """
    if rotation.long is None:
        return _tables(writer, rotation.frequencies, rotation.scale, positions, name)
    short = _tables(writer, rotation.frequencies, rotation.scale, rotation.border, f"{name}/short")
    long = _tables(writer, rotation.long, rotation.scale, positions, f"{name}/long")
    cosines, sines = (
        writer.add("Concat", [first, second], f"{name}/{kind}", axis=0)
        for kind, first, second in zip(("cosines", "sines"), short, long, strict=True)
    )
    return cosines, sines


def _tables(
    writer: Writer, frequencies: NDArray[np.float32], scale: float, positions: int, name: str
) -> tuple[ir.Value, ir.Value]:
    ends = {"begin": 0, "end": positions, "step": 1}
    limits = [writer.constant(np.float32(n), f"{name}/{what}") for what, n in ends.items()]
    column = writer.constant(np.array([-1, 1], np.int64), f"{name}/column")
    positions_column = writer.add(
        "Reshape", [writer.add("Range", limits, f"{name}/Range"), column], f"{name}/places"
    )
    turns = writer.constant(frequencies[None], f"{name}/frequencies")
    angles = writer.add("Mul", [positions_column, turns], f"{name}/angles")
    cosines, sines = (writer.add(kind, [angles], f"{name}/{kind}") for kind in ("Cos", "Sin"))
    if scale == 1:
        return cosines, sines
    factor = writer.constant(np.float32(scale), f"{name}/scale")
    return (
        writer.add("Mul", [cosines, factor], f"{name}/cosines"),
        writer.add("Mul", [sines, factor], f"{name}/sines"),
    )
