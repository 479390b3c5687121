"""What each layer gives to the next: heads that draft read it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nanoaccel.exporters.targets.onnx.source.graph import SourceGraph, Tokens, Value

# A node of a layer or of a part of it, as tracing names them.
_OF_LAYER = re.compile(r"__module\.(?:[A-Za-z_]\w*\.)*?(\d+)[./]")
_NAMED = "__module."


def layer_outputs(graph: SourceGraph) -> Mapping[int, Value]:
    """The states [1, T, H] that leave each layer; empty where that is not one value of each.

    They are what a layer makes and nodes behind it read.
    """
    found: dict[int, set[Value]] = {}
    for node in graph.nodes:
        layer = _layer(node.name)
        for value in node.outputs if layer is not None else ():
            behind = (user.name for user, _ in value.users if user.name.startswith(_NAMED))
            if _is_state(value) and any(_layer(name) != layer for name in behind):
                found.setdefault(layer or 0, set()).add(value)
    numbers = sorted(found)
    alone = all(len(values) == 1 for values in found.values())
    widths = {value.shape[-1] for values in found.values() for value in values}
    if numbers != list(range(len(numbers))) or not alone or len(widths) != 1:
        return {}
    return {layer: next(iter(found[layer])) for layer in numbers}


def _layer(name: str) -> int | None:
    match = _OF_LAYER.match(name)
    return None if match is None else int(match[1])


def _is_state(value: Value) -> bool:
    return (
        len(value.shape) == 3
        and value.shape[0] == 1
        and isinstance(value.shape[1], Tokens)
        and isinstance(value.shape[2], int)
        and value.shape[2] > 1
    )
