"""What parts with a recurrent state have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import Node, Value

_STATE = re.compile(r"cache_params\.past\.(conv|ssm)\.\d+")


def reads_state(value: Value, kind: str) -> bool:
    """Whether a value is a state as the last pass left it.

    Args:
        value: The value.
        kind: "conv" or "ssm", of a convolution or of a recurrence.
    """
    node = value.node
    node = node.inputs[0].node if node.kind == "Gather" else node  # by beam
    if node.kind != "ReadValue":
        return False
    match = _STATE.match(str(node.attributes["variable_id"]))
    return match is not None and match[1] == kind


def turns(node: Node | None, order: Sequence[int], constants: Constants) -> bool:
    """Whether a node transposes axes into an order."""
    if node is None or node.kind != "Transpose" or not node.inputs[1].node.constant:
        return False
    return constants.integers(node.inputs[1]) == list(order)


def fixed_factor(node: Node, constants: Constants) -> tuple[Value, float] | None:
    """What a node multiplies with, or divides by, one number, and the factor; None for others."""
    if node.kind not in ("Multiply", "Divide"):
        return None
    for value, other in (node.inputs, node.inputs[::-1]):
        number = constants.settled(other)
        if number is not None and number.size == 1 and value.shape == node.out.shape:
            factor = float(number.ravel()[0])
            if node.kind == "Multiply":
                return value, factor
            return (value, 1 / factor) if other is node.inputs[1] else None
    return None
