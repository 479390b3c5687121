"""Weight compression of a graph, by the methods that a recipe names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nanoaccel.exporters.progress import Tell, silence
from nanoaccel.exporters.quantize.compression.calibration import Calibration
from nanoaccel.exporters.quantize.compression.folded import folded_in, note_folded
from nanoaccel.exporters.quantize.compression.layers import Layer, find_layers
from nanoaccel.exporters.quantize.compression.mapped import MappedTensors
from nanoaccel.exporters.quantize.methods import ByNearest, CompressionRequest, method_of
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.registry import COMPRESSION_METHODS

if TYPE_CHECKING:
    import openvino as ov


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
        PluginError: A plugin's method failed, or made another graph than it was to make.
    """
    note_folded(model, folded_in(model))
    if not recipe.compressed:
        return model
    request = CompressionRequest(
        model=model,
        recipe=recipe,
        layers=layers,
        storage=storage,
        calibration=calibration,
        tell=tell,
        tensors=tensors,
    )
    if not recipe.methods:
        return ByNearest().compress(request)
    # Methods that go together are done in one pass, by a plugin's where there is one.
    plugged = [name for name in recipe.methods if COMPRESSION_METHODS.is_plugin(name)]
    name = [*plugged, *recipe.methods][0]
    shape = _shape(model)
    with COMPRESSION_METHODS.named(name):
        made = method_of(name).compress(request)
        if plugged:
            _check_made(made, shape, storage)
    return made


def _shape(model: ov.Model) -> list[tuple[list[str], str]]:
    """Names and types of what a graph reads and gives."""
    return [
        (sorted(port.get_names()), port.get_element_type().get_type_name())
        for port in (*model.inputs, *model.outputs)
    ]


def _check_made(
    made: object, shape: list[tuple[list[str], str]], storage: Mapping[str, str]
) -> None:
    import openvino as ov

    if not isinstance(made, ov.Model):
        raise TypeError(f"it gave {type(made).__name__}, no graph")
    if _shape(made) != shape:
        raise ValueError("the graph that it gave reads or gives something else")
    left = {layer.name for layer in find_layers(made)}
    for name, kind in storage.items():
        if (kind == "float") != (name in left):
            raise ValueError(
                f"it left {name} as it was" if name in left else f"it compressed {name}"
            )
