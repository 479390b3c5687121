"""Gives layers integers of 4 or 8 bits, each layer as soon as it is rounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING

from nanoaccel.exporters.progress import Tell
from nanoaccel.exporters.quantize.compression.calibration import Calibration
from nanoaccel.exporters.quantize.compression.integers.activations import Squares, mean_squares
from nanoaccel.exporters.quantize.compression.integers.grid import Grid
from nanoaccel.exporters.quantize.compression.integers.insert import (
    in_memory,
    round_layer,
    stored_weight,
)
from nanoaccel.exporters.quantize.compression.layers import Layer, group_of
from nanoaccel.exporters.quantize.compression.mapped import MappedTensors
from nanoaccel.exporters.quantize.recipe import Recipe

if TYPE_CHECKING:
    import openvino as ov


def round_layers(
    model: ov.Model,
    recipe: Recipe,
    layers: Sequence[Layer],
    storage: Mapping[str, str],
    kinds: Set[str],
    calibration: Calibration | None,
    tell: Tell,
    tensors: MappedTensors | None,
) -> None:
    """Round the layers of some types, in place.

    Args:
        model: The graph.
        recipe: Layout and methods.
        layers: Layers of the graph.
        storage: Type of each layer.
        kinds: Types to make: "int4", "int8" or both.
        calibration: Text for calibrated recipes.
        tell: Called with the share that is done.
        tensors: A file for the integers; None keeps them in memory.
    """
    chosen = [layer for layer in layers if storage[layer.name] in kinds]
    known: Squares = {}
    if "int4" in kinds and recipe.calibrated:
        assert calibration is not None, "calibrated methods need samples"
        file = calibration.folder / f"inputs-{len(calibration.samples)}.npz"
        known = mean_squares(
            model, layers, calibration.samples, file, lambda done: tell(done, "run the text")
        )
    allocate = in_memory if tensors is None else tensors.allocate
    operations = {node.get_friendly_name(): node for node in model.get_ops()}
    readers = {layer: [operations[name] for name in layer.operations] for layer in chosen}
    sizes = {layer: stored_weight(some).get_byte_size() for layer, some in readers.items()}
    done, size = 0, sum(sizes.values())
    for layer in chosen:
        if storage[layer.name] == "int8":
            grid, importance = Grid(8, layer.inputs, recipe.symmetric, by_row=True), None
        else:
            group = group_of(layer, recipe)
            assert group is not None, "storage_of gives a layer the backup that no group fits"
            by_row = group == -1
            inputs = layer.inputs if by_row else group
            grid = Grid(4, inputs, recipe.symmetric, by_row)
            importance = known.get(layer.name)
        round_layer(layer, readers[layer], grid, importance, allocate)
        done += sizes[layer]
        tell(done / size, "round the weights", size)
    model.validate_nodes_and_infer_types()
