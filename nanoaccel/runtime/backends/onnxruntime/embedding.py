"""Weights that are looked up, row by row, and not multiplied with; read from the file itself.

A session does not tell which weights its nodes share. Of the file's protocol buffers (onnx.proto),
a handful of fields is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_GRAPH = 7  # of a model
_NODE, _INITIALIZER = 1, 5  # of a graph
_INPUT, _KIND = 1, 4  # of a node
_NAME, _RAW, _ELSEWHERE = 8, 9, 13  # of a tensor
_KEY, _VALUE = 1, 2  # of what is said of a tensor that is stored elsewhere
_LOOK_UPS = (b"Gather", b"GatherBlockQuantized")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def looked_up_bytes(graph: Path) -> int:
    """Bytes of the embeddings that no other node uses.

    Args:
        graph: An .onnx file.
    """
    (body,) = _fields(memoryview(graph.read_bytes()), _GRAPH)
    rows: set[str] = set()
    others: set[str] = set()
    for node in _fields(body, _NODE):
        inputs = [str(name, "utf-8") for name in _fields(node, _INPUT)]
        if bytes(next(_fields(node, _KIND))) in _LOOK_UPS:
            rows.update((inputs[0], *inputs[2:]))  # the second is which rows
        else:
            others.update(inputs)
    tensors = _fields(body, _INITIALIZER)
    sizes = {str(next(_fields(tensor, _NAME)), "utf-8"): _bytes_of(tensor) for tensor in tensors}
    return sum(size for name, size in sizes.items() if name in rows - others)


def _bytes_of(tensor: memoryview) -> int:
    """Of its values, where they lie beside the graph or raw in it; small ones may lie otherwise."""
    said = {
        bytes(next(_fields(entry, _KEY))): bytes(next(_fields(entry, _VALUE)))
        for entry in _fields(tensor, _ELSEWHERE)
    }
    return int(said.get(b"length", sum(len(raw) for raw in _fields(tensor, _RAW))))


def _fields(message: memoryview, number: int) -> Iterator[memoryview]:
    """The fields of a message that have a number and hold bytes."""
    offset = 0
    while offset < len(message):
        tag, offset = _varint(message, offset)
        if tag & 7 == _VARINT:
            _, offset = _varint(message, offset)
        elif tag & 7 == _BYTES:
            size, offset = _varint(message, offset)
            if tag >> 3 == number:
                yield message[offset : offset + size]
            offset += size
        else:
            assert tag & 7 in (_FIXED32, _FIXED64), "a session reads this file"
            offset += 4 if tag & 7 == _FIXED32 else 8


def _varint(message: memoryview, offset: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the offset behind it."""
    value = shift = 0
    while True:
        byte = message[offset]
        offset += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, offset
        shift += 7
