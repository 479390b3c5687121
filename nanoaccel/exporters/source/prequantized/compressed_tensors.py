"""compressed-tensors, which llm-compressor writes: packed integers, int8 or fp8.

    pack-quantized   weight_packed i32 [out, in * bits / 32], weight_shape i64 [2],
                     weight_scale [out, groups], weight_zero_point i32 [out * bits / 32, groups],
                     weight_g_idx i32 [in] with act-order
    int-quantized    weight i8 [out, in], weight_scale, weight_zero_point i8 when asymmetric
    float-quantized  weight f8e4m3 [out, in], weight_scale

A scale is for a row ([out, 1]), for the whole ([1]), or for a block of the matrix. Zero points
are stored only when asymmetric. Layout: https://github.com/vllm-project/compressed-tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.source.prequantized.layer import Format, Layer, Weight, unpack
from nanoaccel.exporters.source.prequantized.packed import Dense, on_grid

if TYPE_CHECKING:
    from nanoaccel.exporters.source.prequantized.checkpoint import Checkpoint

_TYPES = ("torch.int8", "torch.float8_e4m3fn")


def _decode(layer: Layer, _: Checkpoint) -> Weight:
    return _packed(layer) if "weight_packed" in layer else _plain(layer)


def _packed(layer: Layer) -> Weight:
    words = layer.words("weight_packed")
    shape = layer.tensor("weight_shape").flatten().tolist()
    rows, columns = shape if len(shape) == 2 else (0, 0)
    bits = next((b for b in (4, 8) if words.shape == (rows, -(-columns * b // 32))), None)
    if bits is None:
        raise layer.odd("weight_packed", f"4 or 8 bits for each weight of {shape}")
    integers = unpack(words, bits)[:, :columns]
    count = layer.tensor("weight_scale").numel() // rows
    scales = layer.scales("weight_scale", (rows, count))
    zeros = _packed_zeros(layer, bits, rows, count)
    return on_grid(integers, scales, zeros, _groups(layer, columns, count), bits=bits)


def _packed_zeros(layer: Layer, bits: int, rows: int, count: int) -> NDArray[np.uint8]:
    if "weight_zero_point" not in layer:
        return np.full((rows, count), 1 << bits - 1, np.uint8)
    if str(layer.tensor("weight_zero_point").dtype) == "torch.int8":  # older versions do not pack
        return _plain_zeros(layer, bits, rows, count)
    words = layer.words("weight_zero_point")
    expected = (-(-rows * bits // 32), count)
    if words.shape != expected:
        raise layer.odd("weight_zero_point", f"shape {list(expected)}")
    zeros: NDArray[np.uint8] = unpack(words.T, bits).T[:rows]
    return zeros


def _plain_zeros(layer: Layer, bits: int, rows: int, count: int) -> NDArray[np.uint8]:
    """Zero points that are stored one a byte, around zero."""
    signed: NDArray[np.int8] = layer.tensor("weight_zero_point").numpy()
    if signed.shape != (rows, count):
        raise layer.odd("weight_zero_point", f"shape {[rows, count]}")
    return (signed.astype(np.int16) + (1 << bits - 1)).astype(np.uint8)


def _groups(layer: Layer, columns: int, count: int) -> NDArray[np.integer[Any]]:
    if "weight_g_idx" in layer:
        groups: NDArray[np.int32] = layer.tensor("weight_g_idx", "int32").numpy()
        if groups.shape != (columns,) or groups.max() >= count:
            raise layer.odd("weight_g_idx", f"{columns} groups below {count}")
        if groups.min() >= 0:  # it is -1 where act-order was not used
            return groups
    if count == 0 or columns % count:
        raise layer.odd("weight_scale", f"a number of groups that divides {columns}")
    return np.arange(columns) // (columns // count)


def _plain(layer: Layer) -> Dense:
    stored = layer.tensor("weight")
    if str(stored.dtype) not in _TYPES or stored.ndim != 2:
        raise layer.odd("weight", "an int8 or fp8 matrix")
    weight: Dense = stored.float().numpy()
    if not np.isfinite(weight).all():
        raise layer.odd("weight", "finite numbers")
    if "weight_zero_point" in layer:
        weight = weight - _spread(layer, "weight_zero_point", weight.shape)
    return weight * _spread(layer, "weight_scale", weight.shape)


def _spread(layer: Layer, part: str, shape: tuple[int, ...]) -> Dense:
    """A number for each weight, from one for each row, block or all."""
    few = layer.scales(part).astype(np.float32)
    few = few.reshape(few.shape if few.ndim == 2 else (-1, 1))
    for axis, length in enumerate(shape):
        times, rest = divmod(length, max(1, few.shape[axis]))
        if rest or few.shape[axis] == 0:
            raise layer.odd(part, f"a shape that divides {list(shape)}")
        few = few if few.shape[axis] == 1 else np.repeat(few, times, axis)
    return few


COMPRESSED_TENSORS = Format(
    frozenset(
        {"weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx"}
    ),
    _decode,
)
