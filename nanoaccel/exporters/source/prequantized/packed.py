"""4-bit weights as integers, scales and zero points: the form that all grids share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

_MIDDLE = 8  # the zero point of a symmetric grid

Dense: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class PackedWeight:
    """The matrix of one projection on a 4-bit grid.

    ``weight = (integer - zero point of its group) * scale of its group``

    Args:
        integers: u8 [out, in], 0 to 15, columns of a group side by side.
        scales: f16 or f32 [out, groups].
        zero_points: u8 [out, groups], 0 to 15.
        group_size: Columns in a group; the same for all.
        permutation: i64 [in], where the columns were moved to bring groups together (GPTQ's
            act-order): column j was column ``permutation[j]``. None when they are in place.
    """

    integers: NDArray[np.uint8]
    scales: NDArray[np.floating[Any]]
    zero_points: NDArray[np.uint8]
    group_size: int
    permutation: NDArray[np.int64] | None = None

    @property
    def symmetric(self) -> bool:
        """Whether all groups are centered on zero, so that no zero point need be stored."""
        return bool((self.zero_points == _MIDDLE).all())

    def dequantize(self) -> Dense:
        """The weights, f32 [out, in], columns where the model expects them."""
        rows, columns = self.integers.shape
        grouped = self.integers.reshape(rows, -1, self.group_size).astype(np.float32)
        grouped -= self.zero_points[:, :, None]
        grouped *= self.scales[:, :, None]
        weights = grouped.reshape(rows, columns)
        if self.permutation is None:
            return weights
        in_place = np.empty_like(weights)
        in_place[:, self.permutation] = weights
        return in_place


def on_grid(
    integers: NDArray[np.uint8],
    scales: NDArray[np.floating[Any]],
    zero_points: NDArray[np.uint8],
    groups: NDArray[np.integer[Any]],
    *,
    bits: int,
) -> PackedWeight | Dense:
    """Keep a weight packed if it can be: four bits, and every group of the same size.

    Args:
        integers: u8 [out, in].
        scales: [out, groups].
        zero_points: u8 [out, groups].
        groups: Group of each column, [in].
        bits: Bits of an integer.

    Returns:
        The weight as it is, or dequantized, f32 [out, in].
    """
    sizes = np.bincount(groups, minlength=scales.shape[1])
    if bits != 4 or (sizes != sizes[0]).any():
        real = scales.astype(np.float32)
        return (integers - zero_points[:, groups].astype(np.float32)) * real[:, groups]
    if (np.diff(groups) >= 0).all():
        return PackedWeight(integers, scales, zero_points, int(sizes[0]))
    order = np.argsort(groups, kind="stable")  # equal groups give equal orders: they can be shared
    return PackedWeight(integers[:, order], scales, zero_points, int(sizes[0]), order)
