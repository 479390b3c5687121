"""Weight compression with NNCF, and what became of each weight."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nanoaccel.exporters.recipe import Recipe

if TYPE_CHECKING:
    import openvino as ov

_SMALLEST_GROUP = 16
_MATRIX = 4096  # constants with fewer numbers are shapes, norms and scales


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


def compress(model: ov.Model, recipe: Recipe) -> ov.Model:
    """Compress the weights as the recipe says; a recipe without integers changes nothing.

    The embedding and the last projection get int8 under int4. Where the group size does not
    divide a layer, a smaller power of two is taken, or int8.
    """
    import nncf

    if not recipe.compressed:
        return model
    mode = nncf.CompressWeightsMode[_mode(recipe)]
    if recipe.weights == "int8":
        return nncf.compress_weights(model, mode=mode)
    backup = nncf.BackupMode.INT8_SYM if recipe.symmetric else nncf.BackupMode.INT8_ASYM
    advanced = nncf.AdvancedCompressionParameters(
        group_size_fallback_mode=nncf.GroupSizeFallbackMode.ADJUST,
        min_adjusted_group_size=_SMALLEST_GROUP,
    )
    return nncf.compress_weights(
        model,
        mode=mode,
        ratio=1.0,
        group_size=recipe.group_size,
        backup_mode=backup,
        advanced_parameters=advanced,
    )


def _mode(recipe: Recipe) -> str:
    return f"{recipe.weights.upper()}_{'SYM' if recipe.symmetric else 'ASYM'}"


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
        if len(shape) == 3 and name in ("i4", "u4"):
            groups.add(shape[-1])
    return WeightStatistics(dict(counts), min(groups) if groups else None)
