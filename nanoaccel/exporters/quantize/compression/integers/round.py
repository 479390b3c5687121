"""Gives layers integers of 4 or 8 bits, each layer as soon as it is rounded."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from nanoaccel.exporters.quantize.compression.integers.activations import Squares, mean_squares
from nanoaccel.exporters.quantize.compression.integers.checked import Rounds
from nanoaccel.exporters.quantize.compression.integers.grid import Grid, round_rows
from nanoaccel.exporters.quantize.compression.integers.insert import (
    in_memory,
    round_layer,
    stored_weight,
)
from nanoaccel.exporters.quantize.compression.layers import group_of

if TYPE_CHECKING:
    from nanoaccel.exporters.quantize.methods import CompressionRequest


def round_layers(request: CompressionRequest, kinds: Set[str], rounds: Rounds = round_rows) -> None:
    """Round the layers of some types, in place.

    Args:
        request: The graph, and what it becomes.
        kinds: Types to make: "int4", "int8" or both.
        rounds: Rounds rows to integers of 4 bits.
    """
    model, recipe, layers = request.model, request.recipe, request.layers
    storage, calibration, tell, tensors = (
        request.storage,
        request.calibration,
        request.tell,
        request.tensors,
    )
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
        few = rounds if grid.bits == 4 else round_rows
        round_layer(layer, readers[layer], grid, importance, allocate, few)
        done += sizes[layer]
        tell(done / size, "round the weights", size)
    model.validate_nodes_and_infer_types()
