"""Which decoder layer an operator of a graph belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LAYER = re.compile(r"\blayers?\.(\d+)\b")
# onnxruntime-genai's builder counts the norm behind the last layer as one more.
_BEHIND = "final_norm"


def layers_of(names: Iterable[str]) -> list[int | None]:
    """The layer of each operator, from 0; None for what stands before or behind the layers.

    Args:
        names: In the order in which they run. One without a path, which a runtime added itself,
            belongs where the one before it does.
    """
    found: list[int | None] = []
    layer: int | None = None
    for name in names:
        match = _LAYER.search(name)
        if match is not None and _BEHIND not in name:
            layer = int(match.group(1))
        elif "/" in name:
            layer = None
        found.append(layer)
    return found
