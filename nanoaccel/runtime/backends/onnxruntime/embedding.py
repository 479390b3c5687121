"""Weights that are looked up, row by row, and not multiplied with; read from the file itself.

A session does not tell which weights its nodes share. Of the file's protocol buffers (onnx.proto),
a handful of fields is enough.
"""

from __future__ import annotations

from pathlib import Path

from nanoaccel.runtime.backends.onnxruntime.graph.wire import bytes_of

_GRAPH = 7  # of a model
_NODE, _INITIALIZER = 1, 5  # of a graph
_INPUT, _KIND = 1, 4  # of a node
_NAME, _RAW, _ELSEWHERE = 8, 9, 13  # of a tensor
_KEY, _VALUE = 1, 2  # of what is said of a tensor that is stored elsewhere
_LOOK_UPS = (b"Gather", b"GatherBlockQuantized")


def looked_up_bytes(graph: Path) -> int:
    """Bytes of the embeddings that no other node uses.

    Args:
        graph: An .onnx file.
    """
    (body,) = bytes_of(memoryview(graph.read_bytes()), _GRAPH)
    rows: set[str] = set()
    others: set[str] = set()
    for node in bytes_of(body, _NODE):
        inputs = [str(name, "utf-8") for name in bytes_of(node, _INPUT)]
        if bytes(next(bytes_of(node, _KIND))) in _LOOK_UPS:
            rows.update((inputs[0], *inputs[2:]))  # the second is which rows
        else:
            others.update(inputs)
    tensors = bytes_of(body, _INITIALIZER)
    sizes = {str(next(bytes_of(tensor, _NAME)), "utf-8"): _bytes_of(tensor) for tensor in tensors}
    return sum(size for name, size in sizes.items() if name in rows - others)


def _bytes_of(tensor: memoryview) -> int:
    """Of its values, where they lie beside the graph or raw in it; small ones may lie otherwise."""
    said = {
        bytes(next(bytes_of(entry, _KEY))): bytes(next(bytes_of(entry, _VALUE)))
        for entry in bytes_of(tensor, _ELSEWHERE)
    }
    return int(said.get(b"length", sum(len(raw) for raw in bytes_of(tensor, _RAW))))
