"""Makes a graph tell what its layers computed: for a head that drafts from it, for embeddings."""

from __future__ import annotations

import re
from collections.abc import Sequence

import openvino as ov
from openvino import opset13 as ops

from nanoaccel.errors import BundleError
from nanoaccel.runtime.backends.openvino.paged_graph import selected_states

STATES = "states"
_HIDDEN = "hidden"
# The sums that belong to a layer itself, and to none of its parts, as tracing names them.
_OF_LAYER = re.compile(r"__module\.(?:\w+\.)*(\d+)/aten::add_?/Add")


def add_hidden(model: ov.Model, layers: Sequence[int]) -> None:
    """Add outputs hidden.0, hidden.1, ...: what layers give to the next, H numbers a token.

    Each is an output of its own: to join them in the graph costs some percent of a short pass.

    Args:
        model: A graph.
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
    for index, layer in enumerate(layers):
        states = ops.result(found[layer])
        states.output(0).set_names({f"{_HIDDEN}.{index}"})
        model.add_results([states])
    model.validate_nodes_and_infer_types()


def add_states(model: ov.Model) -> None:
    """Add the output states, H numbers a token: what the rows are chosen from that become logits.

    Nothing is added where no projection makes the logits.

    Args:
        model: A graph whose rows are selected.
    """
    found = selected_states(model)
    if found is not None:
        states = ops.result(found)
        states.output(0).set_names({STATES})
        model.add_results([states])
        model.validate_nodes_and_infer_types()


def hidden_outputs(names: Sequence[str]) -> list[int]:
    """Which of a graph's outputs are states, in the order in which they were added."""
    return [index for index, name in enumerate(names) if name.partition(".")[0] == _HIDDEN]


def _layer_outputs(model: ov.Model) -> dict[int, ov.Output]:
    """By layer its last sum: that of its input, its attention and its feed-forward part."""
    found = {}
    for node in model.get_ordered_ops():
        match = _OF_LAYER.match(node.get_friendly_name())
        if match is not None and node.get_type_name() == "Add":
            found[int(match.group(1))] = node.output(0)
    return found
