"""Inputs and outputs of a graph: their types and shapes."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.runtime.backends.onnxruntime.graph import wire

FLOAT, UINT8, INT32, INT64, DOUBLE = 1, 2, 6, 7, 11  # types of tensors, as ONNX numbers them

# Fields by message of onnx.proto.
_NAME, _TYPE = 1, 2  # of a value's info
_TENSOR = 1  # of a type
_ELEMENTS, _SHAPE = 1, 2  # of a tensor's type
_DIMENSION = 1  # of a shape
_SIZE, _LETTER = 1, 2  # of a dimension


def value_info(name: str, elements: int, shape: Sequence[int | str]) -> bytes:
    """The message of a tensor.

    Args:
        name: Its name.
        elements: Type of its numbers.
        shape: Sizes, and letters for those that differ from pass to pass.
    """
    dimensions = b"".join(wire.bytes_field(_DIMENSION, _dimension(size)) for size in shape)
    tensor = wire.integer_field(_ELEMENTS, elements) + wire.bytes_field(_SHAPE, dimensions)
    return wire.bytes_field(_NAME, name) + wire.bytes_field(
        _TYPE, wire.bytes_field(_TENSOR, tensor)
    )


def shape_of(message: bytes) -> list[int | None]:
    """The shape of a tensor; None for what is not a number, and no sizes where none are known."""
    found: list[int | None] = []
    part = memoryview(message)
    for number in (_TYPE, _TENSOR, _SHAPE):
        part = next(wire.bytes_of(part, number), memoryview(b""))
    for dimension in wire.bytes_of(part, _DIMENSION):
        sizes = [value for number, value in wire.fields(dimension) if number == _SIZE]
        found.append(sizes[0] if sizes and isinstance(sizes[0], int) else None)
    return found


def _dimension(size: int | str) -> bytes:
    if isinstance(size, int):
        return wire.integer_field(_SIZE, size)
    return wire.bytes_field(_LETTER, size)
