"""Rounding of weights to nearest integers, as a recipe without methods stores them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_EPSILON = 1e-9
_SMALLEST_GROUP = 16
_NUMBERS = 1 << 24  # of a matrix that are f32 at once


@dataclass(frozen=True, slots=True)
class Rounding:
    """Rounding to nearest integers.

    Args:
        bits: Bits of an integer, 2 to 8.
        group_size: Weights along the input that share a scale; -1 is a whole row. Where it does not
            divide them, it is the largest power of two that does, or else a whole row.
        symmetric: Whether integers are centered on zero.
    """

    bits: int
    group_size: int
    symmetric: bool

    def __call__(self, weight: torch.Tensor) -> torch.Tensor:
        """The rounded weights, of the same shape [outputs, inputs] and type."""
        import torch

        rounded = torch.empty_like(weight, memory_format=torch.contiguous_format)
        for rows in _some_rows(weight):
            rounded[rows] = self._round(weight[rows])
        return rounded

    def squared_error(self, weight: torch.Tensor) -> float:
        """Sum over all weights of the square of what rounding changes."""
        import torch

        total = 0.0
        for rows in _some_rows(weight):
            change = self._round(weight[rows]).sub_(weight[rows])
            total += float(torch.linalg.vector_norm(change, dtype=torch.float32)) ** 2
        return total

    def _round(self, weight: torch.Tensor) -> torch.Tensor:
        group = self._group(weight.shape[-1])
        groups = weight.float().reshape(*weight.shape[:-1], -1, group)
        if self.symmetric:
            most = 2 ** (self.bits - 1)
            scale = groups.abs().amax(-1, keepdim=True).clamp_min(_EPSILON) / (most - 1)
            rounded = (groups / scale).round_().clamp_(-most, most - 1).mul_(scale)
        else:
            low = groups.amin(-1, keepdim=True).clamp_max(0)
            high = groups.amax(-1, keepdim=True).clamp_min(0)
            scale = (high - low).clamp_min(_EPSILON) / (2**self.bits - 1)
            zero = (-low / scale).round()
            steps = (groups / scale).round_().add_(zero).clamp_(0, 2**self.bits - 1)
            rounded = steps.sub_(zero).mul_(scale)
        return rounded.reshape(weight.shape).to(weight.dtype)

    def _group(self, inputs: int) -> int:
        if self.group_size != -1 and inputs % self.group_size == 0:
            return self.group_size
        power = inputs & -inputs
        return power if _SMALLEST_GROUP <= power < self.group_size else inputs


def _some_rows(weight: torch.Tensor) -> Iterator[slice]:
    """Rows of a matrix [outputs, inputs], few enough to compute with in f32."""
    count = max(1, _NUMBERS // weight.shape[-1])
    for begin in range(0, weight.shape[0], count):
        yield slice(begin, begin + count)
