"""Reads a safetensors file without the library of that name, which needs a compiled module."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import AdapterError

Float32Array: TypeAlias = NDArray[np.float32]

_LENGTH = 8
_METADATA = "__metadata__"
_AGAIN = "Take it from where it was made again"


def _bf16(raw: NDArray[np.uint8]) -> Float32Array:
    wide = raw.view("<u2").astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


# From the name of a type to its bytes, and to f32.
_TYPES: dict[str, tuple[int, Callable[[NDArray[np.uint8]], NDArray[Any]]]] = {
    "F64": (8, lambda raw: raw.view("<f8").astype(np.float32)),
    "F32": (4, lambda raw: raw.view("<f4")),
    "F16": (2, lambda raw: raw.view("<f2").astype(np.float32)),
    "BF16": (2, _bf16),
}


def read_tensors(data: NDArray[np.uint8], path: Path) -> dict[str, Float32Array]:
    """The tensors of a safetensors file, in f32.

    Args:
        data: The whole file.
        path: Where it is, for errors.

    Raises:
        AdapterError: It is truncated, is no such file, or holds another type.
    """
    header, begin = _header(data, path)
    found: dict[str, Float32Array] = {}
    for name, entry in header.items():
        if name == _METADATA:
            continue
        try:
            kind, shape = str(entry["dtype"]), [int(size) for size in entry["shape"]]
            first, last = (int(offset) for offset in entry["data_offsets"])
        except (KeyError, TypeError, ValueError) as error:
            raise _broken(path, f"{name} is not described") from error
        if kind not in _TYPES:
            raise AdapterError(
                f"{name} in {path} is of type {kind}", f"Save it as {', '.join(_TYPES)}"
            )
        width, convert = _TYPES[kind]
        if not 0 <= first <= last or last - first != width * math.prod(shape):
            raise _broken(path, f"{name} has a size that is not that of its shape")
        if begin + last > len(data):
            raise _broken(path, f"{len(data)} bytes are there, {name} ends at {begin + last}")
        # A header may have any length; numbers are read where they are aligned.
        raw = np.array(data[begin + first : begin + last])
        found[name] = convert(raw).reshape(shape)
    return found


def _header(data: NDArray[np.uint8], path: Path) -> tuple[dict[str, Any], int]:
    """The header, and where the tensors begin."""
    length = int.from_bytes(data[:_LENGTH].tobytes(), "little")
    begin = _LENGTH + length
    if len(data) < _LENGTH or begin > len(data):
        raise _broken(path, f"{len(data)} bytes are there, its header ends at {begin}")
    try:
        header = json.loads(data[_LENGTH:begin].tobytes())
        if not isinstance(header, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise _broken(path, "its header is not JSON") from error
    return header, begin


def _broken(path: Path, why: str) -> AdapterError:
    return AdapterError(f"{path} is truncated or not safetensors: {why}", _AGAIN)
