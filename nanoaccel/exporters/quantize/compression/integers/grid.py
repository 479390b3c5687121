"""Rounds weights to integers, with the scales that change a layer's output least.

A layer whose weights change by D changes what it gives for x by D x. Where the inputs do not depend
on each other, the mean square of that is the sum of D squared, each times the mean square of its
input. Scales are searched that make this sum small in each group: those that reach the largest
weight, and smaller ones that cut it off and round the others more finely. Weights whose inputs are
large count more: Lin et al. 2023, https://arxiv.org/abs/2306.00978, who scale such channels up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Shares of the range of a group that its integers may span instead of the whole.
_SPANS = (1.05, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
_SMALLEST = 2.0**-24  # the smallest number of f16 above zero


@dataclass(frozen=True, slots=True)
class Grid:
    """What weights are rounded to.

    Args:
        bits: Bits of an integer: 4 or 8.
        group: Weights along the input that share a scale.
        symmetric: Whether integers are centered on zero.
        by_row: Whether the group is a row, and stored without an axis of groups.
    """

    bits: int
    group: int
    symmetric: bool
    by_row: bool = False

    @property
    def middle(self) -> int:
        """The code of zero in a symmetric group."""
        return 1 << (self.bits - 1)

    @property
    def highest(self) -> int:
        """The highest code."""
        return (1 << self.bits) - 1


@dataclass(frozen=True, slots=True)
class Codes:
    """Rounded rows: a weight is (code - zero point) * scale.

    Args:
        integers: u8[rows, groups, group].
        scales: f16[rows, groups, 1].
        zeros: Zero points u8[rows, groups, 1].
    """

    integers: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor


def round_rows(weight: torch.Tensor, grid: Grid, importance: torch.Tensor | None) -> Codes:
    """Round rows of a matrix.

    Args:
        weight: f32[rows, inputs]; the group divides the inputs.
        grid: What they are rounded to.
        importance: Mean squares of the inputs, f32[inputs] or f32[rows, inputs]. None spans all
            weights: without inputs, to cut off large weights does more harm than good.
    """
    import torch

    groups = weight.reshape(len(weight), -1, grid.group)
    scales, zeros = _range(groups, grid, 1.0)
    if importance is not None:
        shares = _shares(groups, importance)
        least = _error(groups, grid, scales, zeros, shares)
        for span in _SPANS:
            scale, zero = _range(groups, grid, span)
            error = _error(groups, grid, scale, zero, shares)
            better = error < least
            least = torch.where(better, error, least)
            scales, zeros = torch.where(better, scale, scales), torch.where(better, zero, zeros)
    codes = _codes(groups, grid, scales, zeros)
    return Codes(codes.to(torch.uint8), scales.half(), zeros.to(torch.uint8))


def _shares(groups: torch.Tensor, importance: torch.Tensor) -> torch.Tensor:
    """Importance by groups; no input is of none, as the text that was measured is short."""
    rows = len(importance) if importance.ndim == 2 else 1
    shares = importance.reshape(rows, -1, groups.shape[-1])
    return shares + shares.mean((1, 2), keepdim=True) * 1e-3


def _range(groups: torch.Tensor, grid: Grid, span: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales and zero points [rows, groups, 1] that span a share of the range of each group."""
    import torch

    low, high = groups.aminmax(dim=-1, keepdim=True)
    if grid.symmetric:  # the code that is one further from zero goes to the largest weight
        far = torch.where(-low >= high, -low, -high)
        scale = _half(far * (span / grid.middle))
        return scale, torch.full_like(scale, grid.middle)
    low, high = low.clamp_max(0), high.clamp_min(0)
    scale = _half((high - low) * (span / grid.highest))
    return scale, (-low * span / scale).round_().clamp_(0, grid.highest)


def _half(scale: torch.Tensor) -> torch.Tensor:
    """Scales as f16 holds them, none of them zero."""
    import torch

    return torch.where(scale.abs() < _SMALLEST, _SMALLEST, scale).half().float()


def _codes(
    groups: torch.Tensor, grid: Grid, scale: torch.Tensor, zero: torch.Tensor
) -> torch.Tensor:
    return (groups / scale).round_().add_(zero).clamp_(0, grid.highest)


def _error(
    groups: torch.Tensor,
    grid: Grid,
    scale: torch.Tensor,
    zero: torch.Tensor,
    shares: torch.Tensor,
) -> torch.Tensor:
    """Sum of squared changes by their importance in each group, [rows, groups, 1]."""
    change = _codes(groups, grid, scale, zero).sub_(zero).mul_(scale).sub_(groups).square_()
    return change.mul_(shares).sum(-1, keepdim=True)
