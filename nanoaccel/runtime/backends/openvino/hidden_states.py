"""Makes a graph tell what its layers computed, for a head that guesses from it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from nanoaccel.errors import BundleError

HIDDEN = "hidden"
# The sums that belong to a layer itself, and to none of its parts, as tracing names them.
_OF_LAYER = re.compile(r"__module\.(?:\w+\.)*(\d+)/aten::add_?/Add")


def add_hidden(model: ov.Model, layers: Sequence[int]) -> None:
    """Add an output hidden f32[T, len(layers) * H]: what layers give to the next, side by side.

    Args:
        model: A paged graph.
        layers: Numbers of layers, from 0.

    Raises:
        BundleError: The graph has no such layers, or does not name them.
    """
    found = _layer_outputs(model)
    missing = [layer for layer in layers if layer not in found]
    if missing:
        raise BundleError(
            f"the graph tells nothing of layer {missing[0]}: its head cannot run",
            "Export the model again, without a head",
        )
    joined = ops.concat([found[layer] for layer in layers], axis=-1)
    width = joined.get_output_partial_shape(0)[-1].get_length()
    rows = ops.reshape(joined, ops.constant(np.array([-1, width], np.int64)), special_zero=False)
    rows = ops.convert(rows, ov.Type.f32)
    rows.output(0).set_names({HIDDEN})
    model.add_results([ops.result(rows)])
    model.validate_nodes_and_infer_types()


def count_layers(model: ov.Model) -> int:
    """Layers whose output can be told."""
    return len(_layer_outputs(model))


def _layer_outputs(model: ov.Model) -> dict[int, ov.Output]:
    """By layer its last sum: that of its input, its attention and its feed-forward part."""
    found = {}
    for node in model.get_ordered_ops():
        match = _OF_LAYER.match(node.get_friendly_name())
        if match is not None and node.get_type_name() == "Add":
            found[int(match.group(1))] = node.output(0)
    return found
