"""The wire format of protocol buffers: messages as sequences of numbered fields.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}


class WireError(ValueError):
    """The bytes are no message."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Numbers of fields and their values: integers, or the bytes of all other types.

    Raises:
        WireError: The message is cut off, or no message.
    """
    offset, size = 0, len(message)
    while offset < size:
        tag, offset = _varint(message, offset)
        kind = tag & 7
        if kind == VARINT:
            value, offset = _varint(message, offset)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            length, offset = _varint(message, offset)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise WireError(f"unknown wire type {kind}")
        if offset + length > size:
            raise WireError("the message is cut off")
        yield tag >> 3, message[offset : offset + length]
        offset += length


def bytes_of(message: memoryview, number: int) -> Iterator[memoryview]:
    """The fields of a number that hold bytes."""
    for found, value in fields(message):
        if found == number and isinstance(value, memoryview):
            yield value


def text_of(value: int | memoryview) -> str:
    """A field that holds text.

    Raises:
        WireError: It does not.
    """
    if isinstance(value, int):
        raise WireError("a number where a text is expected")
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError as error:
        raise WireError(f"a text is not UTF-8: {error}") from error


def bytes_field(number: int, value: bytes | memoryview | str) -> bytes:
    """A field with bytes, text or a message."""
    data = value.encode() if isinstance(value, str) else value
    return _encoded(number << 3 | BYTES) + _encoded(len(data)) + bytes(data)


def integer_field(number: int, value: int) -> bytes:
    """A field with an integer; negative ones take ten bytes, as in int64."""
    return _encoded(number << 3 | VARINT) + _encoded(value & (1 << 64) - 1)


def fixed32_field(number: int, value: bytes) -> bytes:
    """A field with four bytes."""
    assert len(value) == 4
    return _encoded(number << 3 | FIXED32) + value


def integers(value: int | memoryview) -> Iterator[int]:
    """The numbers of a repeated integer: one, or many packed ones."""
    if isinstance(value, int):
        yield value
        return
    offset = 0
    while offset < len(value):
        number, offset = _varint(value, offset)
        yield number


def signed(value: int) -> int:
    """An int64 from its bits."""
    return value - (1 << 64) if value >> 63 else value


def _encoded(value: int) -> bytes:
    """A number of seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(message: memoryview, offset: int) -> tuple[int, int]:
    """The number at an offset, and the offset behind it."""
    value = shift = 0
    while offset < len(message) and shift < 70:
        byte = message[offset]
        offset += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, offset
        shift += 7
    raise WireError("the message is cut off")
