"""How MatMulNBits wants codes, scales and zero points: in blocks of a power of two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.stored import Array, StoredWeight

# Blocks for which ONNX Runtime has fast kernels.
_SMALLEST, _LARGEST = 16, 256
_PADDED = 32  # where no power of two divides a row with one scale


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of a matrix.

    Args:
        size: Weights in a block.
        count: Blocks in a row; the last one may be padded.
        repeat: Blocks that share a scale.
    """

    size: int
    count: int
    repeat: int


def blocks_of(weight: StoredWeight) -> Blocks:
    """The largest blocks that no group's end falls into.

    Raises:
        ExportError: They would be smaller than any kernel takes.
    """
    group = weight.columns // weight.groups
    size = min(group & -group, _LARGEST)
    if size < _SMALLEST and weight.groups == 1 and not weight.nf4:
        size = _PADDED
    if size < _SMALLEST:
        raise ExportError(
            f"groups of {group} weights do not go with ONNX Runtime, whose smallest are "
            f"{_SMALLEST}",
            "Choose a group size of 32, 64 or 128, or --runtime openvino",
        )
    count = -(-weight.columns // size)
    return Blocks(size, count, count // weight.groups)


def block_values(weight: StoredWeight, blocks: Blocks) -> Array:
    """Codes, u8 [out, blocks, bytes of a block]."""
    octets = blocks.size * weight.bits // 8
    values = weight.values
    missing = blocks.count * octets - values.shape[1]
    if missing:
        values = np.pad(values, ((0, 0), (0, missing)))
    return values.reshape(weight.rows, blocks.count, octets)


def block_zero_points(zeros: NDArray[np.uint8], bits: int, blocks: Blocks) -> NDArray[np.uint8]:
    """Zero points of blocks, u8 [out, bytes]; those of 4 bits two in a byte."""
    repeated = zeros.repeat(blocks.repeat, axis=1)
    if bits == 8:
        return repeated
    padded = np.pad(repeated, ((0, 0), (0, repeated.shape[1] % 2)))
    packed: NDArray[np.uint8] = padded[:, ::2] | padded[:, 1::2] << np.uint8(4)
    return packed
