"""What became of the weights of a graph."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openvino as ov

_MATRIX = 4096  # constants with fewer numbers are shapes, norms and scales
_GROUPED = ("i4", "u4", "u3", "u2", "nf4", "f4e2m1", "f8e4m3")


@dataclass(frozen=True, slots=True)
class WeightStatistics:
    """What the large constants of a graph are stored as.

    Args:
        parameters: Numbers by element type ("i4", "i8", "f32", ...).
        group_size: The smallest group that shares a scale; None without groups.
    """

    parameters: Mapping[str, int]
    group_size: int | None

    @property
    def total(self) -> int:
        """Numbers altogether."""
        return sum(self.parameters.values())


def weight_statistics(model: ov.Model) -> WeightStatistics:
    """Count the weights of a graph by element type, and find its smallest group."""
    counts: Counter[str] = Counter()
    groups: set[int] = set()
    for node in model.get_ops():
        if node.get_type_name() != "Constant":
            continue
        shape = list(node.get_output_shape(0))
        name = node.get_element_type().get_type_name()
        if math.prod(shape) < _MATRIX or name.startswith(("i64", "i32")):
            continue
        if shape[-1] == 1:
            continue  # scales and zero points of groups
        counts[name] += math.prod(shape)
        if len(shape) == 3 and name in _GROUPED:
            groups.add(shape[-1])
    return WeightStatistics(dict(counts), min(groups) if groups else None)
