"""Weight compression: each layer gets the type that it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nanoaccel.exporters.progress import Tell, silence
from nanoaccel.exporters.quantize.compression.by_nncf import UNREAD, compress_by_nncf
from nanoaccel.exporters.quantize.compression.calibration import Calibration
from nanoaccel.exporters.quantize.compression.folded import folded_in, note_folded
from nanoaccel.exporters.quantize.compression.integers import round_layers
from nanoaccel.exporters.quantize.compression.layers import Layer
from nanoaccel.exporters.quantize.compression.mapped import MappedTensors
from nanoaccel.exporters.quantize.recipe import Recipe

if TYPE_CHECKING:
    import openvino as ov

_OWN_TYPES, _OWN_METHODS = {"int4", "int8"}, {"scale-estimation"}


def compress(
    model: ov.Model,
    recipe: Recipe,
    layers: Sequence[Layer],
    storage: Mapping[str, str],
    calibration: Calibration | None = None,
    tell: Tell = silence,
    tensors: MappedTensors | None = None,
) -> ov.Model:
    """Compress the weights of a graph.

    Integers of 4 and 8 bits are chosen here, with the scales that the inputs ask for or without;
    other types and methods are NNCF's.

    Args:
        model: With float weights; it is changed.
        recipe: Type, layout and methods.
        layers: Layers of the graph.
        storage: The type of each layer: the recipe's, "int8" or "float".
        calibration: Needed when the recipe has methods.
        tell: Called with the share of the work that is done.
        tensors: A file for the weights that are made; None keeps them in memory.

    Raises:
        ExportError: NNCF cannot do it.
    """
    note_folded(model, folded_in(model))
    if not recipe.compressed:
        return model
    if recipe.weights in _OWN_TYPES and _OWN_METHODS.issuperset(recipe.methods):
        kinds = {recipe.weights, "int8"}
        round_layers(model, recipe, layers, storage, kinds, calibration, tell, tensors)
        return model
    first = recipe.weights in UNREAD
    if first:
        round_layers(model, recipe, layers, storage, {"int8"}, None, tell, tensors)
    model = compress_by_nncf(model, recipe, layers, storage, calibration, tell, tensors)
    if not first:
        round_layers(model, recipe, layers, storage, {"int8"}, None, tell, tensors)
    return model
