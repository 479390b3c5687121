"""A matrix as a compressed graph keeps it: codes, scales, zero points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


# Quantiles of a normal distribution: Dettmers et al. 2023, https://arxiv.org/abs/2305.14314
NF4 = np.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
        -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
        0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
        0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ],
    np.float32,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class StoredWeight:
    """The matrix of a projection or of an embedding.

    ``weight = (code - zero point of its group) * scale of its group``, or floats as they are. The
    projection reads ``(x * input_scale)[permutation]``.

    Args:
        key: Names the numbers: two matrices of one key and shape share them.
        raw: u8 [out, in * bits / 8], of 4-bit codes the earlier one in the lower half; or floats
            [out, in]. It may lie in a mapped file.
        columns: in.
        bits: Bits of a code; 0 for floats.
        scales: f16 or f32 [out, groups]; None for floats.
        zero_points: u8 [out, groups], one a byte; None is the middle of the range.
        permutation: i64 [in], what moves the input's last axis; None leaves it.
        input_scale: f32 [in], what the input is multiplied with (AWQ's); None leaves it.
        nf4: Whether codes stand for the numbers of NF4, which scales multiply.
        sign: Bits by which the bytes of ``raw`` differ from codes.
    """

    key: str
    raw: Array
    columns: int
    bits: int
    scales: Array | None = None
    zero_points: NDArray[np.uint8] | None = None
    permutation: NDArray[np.int64] | None = None
    input_scale: NDArray[np.float32] | None = None
    nf4: bool = False
    sign: int = 0

    @property
    def values(self) -> Array:
        """The codes, or floats: a copy where they are not stored so."""
        return self.raw ^ np.uint8(self.sign) if self.sign else self.raw

    @property
    def rows(self) -> int:
        """Outputs."""
        return len(self.raw)

    @property
    def groups(self) -> int:
        """Scales in a row; 1 for floats."""
        return 1 if self.scales is None else int(self.scales.shape[1])

    def slice(self, begin: int, end: int) -> StoredWeight:
        """Some of its rows."""
        if (begin, end) == (0, self.rows):
            return self
        return replace(
            self,
            key=f"{self.key}[{begin}:{end}]",
            raw=self.raw[begin:end],
            scales=None if self.scales is None else self.scales[begin:end],
            zero_points=None if self.zero_points is None else self.zero_points[begin:end],
        )

    def take(self, rows: NDArray[np.int64]) -> StoredWeight:
        """Rows by their numbers."""
        return replace(
            self,
            key=f"{self.key}[rows]",
            raw=self.raw[rows],
            scales=None if self.scales is None else self.scales[rows],
            zero_points=None if self.zero_points is None else self.zero_points[rows],
        )

    def form(self) -> tuple[object, ...]:
        """Equal for matrices that can be one matrix, with more rows."""
        return (
            self.columns,
            self.bits,
            str(self.raw.dtype),
            self.groups,
            None if self.scales is None else str(self.scales.dtype),
            self.zero_points is None,
            self.nf4,
            None if self.permutation is None else self.permutation.tobytes(),
            None if self.input_scale is None else self.input_scale.tobytes(),
            self.sign,
        )

    def dequantize(self) -> NDArray[np.float32]:
        """The weights, f32 [out, in], columns as they are stored."""
        if self.scales is None:
            return self.values.astype(np.float32)
        codes = self.values
        if self.bits == 4:
            codes = np.stack([codes & 15, codes >> 4], -1)
        numbers = NF4[codes] if self.nf4 else codes.astype(np.float32)
        grouped = numbers.reshape(self.rows, self.groups, -1)
        if self.nf4:
            weights = grouped * self.scales[:, :, None].astype(np.float32)
            return weights.reshape(self.rows, self.columns)
        middle = np.float32(1 << self.bits - 1)
        zeros = middle if self.zero_points is None else self.zero_points[:, :, None]
        weights = (grouped - zeros) * self.scales[:, :, None].astype(np.float32)
        return weights.reshape(self.rows, self.columns)


def beside(left: StoredWeight, right: StoredWeight) -> StoredWeight | None:
    """One matrix that reads both inputs, one behind the other; None where they differ in form."""
    pair = (left, right)
    if any(one.permutation is not None or one.input_scale is not None for one in pair):
        return None
    if left.columns // left.groups != right.columns // right.groups and left.bits > 0:
        return None
    apart = (one.form()[1:3] + one.form()[4:] for one in pair)
    if len(set(apart)) > 1:
        return None
    scales = [one.scales for one in pair if one.scales is not None]
    zeros = [one.zero_points for one in pair if one.zero_points is not None]
    return replace(
        left,
        key=f"{left.key}|{right.key}",
        raw=np.concatenate([left.raw, right.raw], axis=1),
        columns=left.columns + right.columns,
        scales=np.concatenate(scales, axis=1) if scales else None,
        zero_points=np.concatenate(zeros, axis=1) if zeros else None,
    )


def join(weights: Sequence[StoredWeight]) -> StoredWeight:
    """One matrix with the rows of several of one form."""
    first = weights[0]
    if len(weights) == 1:
        return first
    assert all(weight.form() == first.form() for weight in weights), "they differ in form"
    scales = [weight.scales for weight in weights if weight.scales is not None]
    zeros = [weight.zero_points for weight in weights if weight.zero_points is not None]
    return replace(
        first,
        key="+".join(weight.key for weight in weights),
        raw=np.concatenate([weight.raw for weight in weights]),
        scales=np.concatenate(scales) if scales else None,
        zero_points=np.concatenate(zeros) if zeros else None,
    )
