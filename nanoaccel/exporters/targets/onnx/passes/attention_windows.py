"""How far back each layer attends; the builder forgets it for some architectures."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

_EVERYTHING = -1


def restore_windows(graph: ir.Graph, windows: Sequence[int | None]) -> None:
    """Edit a graph, in place.

    Args:
        graph: Graph of the builder.
        windows: Tokens that a layer attends to, its own included; None is all.
    """
    attention = [node for node in graph if node.op_type == "GroupQueryAttention"]
    for node, window in zip(attention, windows, strict=True):
        size = _EVERYTHING if window is None else window
        node.attributes["local_window_size"] = ir.AttrInt64("local_window_size", size)
