"""What a compression method is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nanoaccel.exporters.progress import Tell

if TYPE_CHECKING:
    import openvino as ov

    from nanoaccel.exporters.quantize.compression.calibration import Calibration
    from nanoaccel.exporters.quantize.compression.layers import Layer
    from nanoaccel.exporters.quantize.compression.mapped import MappedTensors
    from nanoaccel.exporters.quantize.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionRequest:
    """A graph to compress.

    Args:
        model: With float weights; it may be changed.
        recipe: Type, layout and all methods that were named.
        layers: Layers of the graph.
        storage: The type of each layer: the recipe's, "int8" or "float".
        calibration: The text; None where no method needs it.
        tell: Called with the share of the work that is done.
        tensors: A file for the weights that are made; None keeps them in memory.
    """

    model: ov.Model
    recipe: Recipe
    layers: Sequence[Layer]
    storage: Mapping[str, str]
    calibration: Calibration | None
    tell: Tell
    tensors: MappedTensors | None
