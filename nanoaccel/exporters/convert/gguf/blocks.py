"""Matrices in the blocks of 32 weights that llama.cpp computes with.

    Q4_0   d f16, 16 bytes        weight = (code - 8) * d
    Q4_1   d f16, m f16, 16 bytes weight = code * d + m
    Q8_0   d f16, 32 bytes        weight = code * d

Codes of a bundle that fit are copied. Layouts: ggml-common.h of llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nanoaccel.exporters.targets.onnx.stored import Array, StoredWeight

if TYPE_CHECKING:
    from numpy.typing import NDArray

GGUF_TYPES = ("f32", "bf16", "f16", "q8_0", "q4_1", "q4_0")
SAME = "same"  # what the weights are stored as already, where there is such a type

_BLOCK = 32
_ENDS = ("token_embd.weight", "output.weight")
_OF_FLOATS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """A matrix as it goes into a file.

    Args:
        type: Name of its type in ggml ("Q4_0").
        octets: Its bytes, u8 [rows, bytes of a row].
        exact: Whether the weights are the very numbers that they were made of.
    """

    type: str
    octets: NDArray[np.uint8]
    exact: bool


def type_for(name: str, shape: tuple[int, ...], wanted: str) -> str:
    """The type in ggml that a tensor of floats gets.

    Vectors stay f32. With 4 bits the embedding and the last projection get 8, as llama.cpp keeps
    more of them too. Rows that are no blocks of 32 stay f16.

    Args:
        name: Its name in the file.
        shape: Rows first.
        wanted: One of ``GGUF_TYPES``.
    """
    if len(shape) < 2:
        return "F32"
    if wanted.startswith("q") and shape[-1] % _BLOCK:
        return "F16"
    if wanted.startswith("q4") and name in _ENDS:
        return "Q8_0"
    return wanted.upper()


def copied(weight: StoredWeight) -> Blocks | None:
    """The stored codes as blocks, not decoded in between; None where no type holds them.

    With zero points a block's offset is a product that f16 may round: by 2**-12 of itself.
    """
    if weight.permutation is not None or weight.input_scale is not None or weight.nf4:
        return None
    if weight.bits == 0:
        values = np.ascontiguousarray(weight.values)
        kind = _OF_FLOATS[str(values.dtype)]
        return Blocks(kind, values.view(np.uint8).reshape(weight.rows, -1), exact=True)
    if weight.scales is None or weight.columns // weight.groups % _BLOCK:
        return None
    full = weight.scales.astype(np.float32)
    with np.errstate(over="ignore"):
        half = full.astype(np.float16)
    if not np.array_equal(half.astype(np.float32), full):
        return None
    repeat = weight.columns // weight.groups // _BLOCK
    scales = half.repeat(repeat, axis=1)
    zeros = None if weight.zero_points is None else weight.zero_points.repeat(repeat, axis=1)
    return _four_bits(weight, scales, zeros) if weight.bits == 4 else _eight(weight, scales, zeros)


def _four_bits(
    weight: StoredWeight, scales: NDArray[np.float16], zeros: NDArray[np.uint8] | None
) -> Blocks:
    codes = np.stack([weight.values & 15, weight.values >> 4], -1)
    codes = codes.reshape(weight.rows, -1, _BLOCK)
    octets = codes[..., :16] | codes[..., 16:] << np.uint8(4)
    if zeros is None or (zeros == 8).all():
        return Blocks("Q4_0", _joined(_bytes(scales), octets), exact=True)
    offsets = -zeros.astype(np.float32) * scales.astype(np.float32)
    rounded = offsets.astype(np.float16)
    exact = np.array_equal(rounded.astype(np.float32), offsets)
    return Blocks("Q4_1", _joined(_bytes(scales), _bytes(rounded), octets), exact)


def _eight(
    weight: StoredWeight, scales: NDArray[np.float16], zeros: NDArray[np.uint8] | None
) -> Blocks:
    """Blocks whose codes less their zero point fit eight bits keep them; others are rounded."""
    codes = weight.values.reshape(weight.rows, -1, _BLOCK).astype(np.int16)
    codes -= np.int16(128) if zeros is None else zeros[..., None].astype(np.int16)
    largest = np.abs(codes).max(-1)
    fits = (codes.min(-1) >= -128) & (codes.max(-1) <= 127)
    rounded = (scales.astype(np.float32) * largest / 127).astype(np.float16)
    divisors = np.where(fits, scales, rounded)
    ratio = scales.astype(np.float32) / np.where(divisors == 0, 1, divisors).astype(np.float32)
    small = np.where(fits[..., None], codes, np.rint(codes * ratio[..., None]))
    octets = small.clip(-128, 127).astype(np.int8).view(np.uint8)
    return Blocks("Q8_0", _joined(_bytes(divisors), octets), bool(fits.all()))


def _bytes(numbers: Array) -> NDArray[np.uint8]:
    """The bytes of a number for each block, u8 [rows, blocks, 2]."""
    return np.ascontiguousarray(numbers, np.float16)[..., None].view(np.uint8)


def _joined(*parts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    joined = np.concatenate(parts, axis=-1)
    return np.ascontiguousarray(joined.reshape(len(joined), -1))
