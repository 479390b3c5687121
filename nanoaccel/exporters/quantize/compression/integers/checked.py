"""Refuses rounded rows that a graph would store as something else than was meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from nanoaccel.exporters.quantize.compression.integers.grid import Codes, Grid

if TYPE_CHECKING:
    import torch

Rounds: TypeAlias = Callable[["torch.Tensor", Grid, "torch.Tensor | None"], Codes]


def checked_rounding(rounds: Rounds) -> Rounds:
    """A function that rounds rows, whose results are checked, and which cannot edit its inputs.

    Args:
        rounds: As ``Rounding.round_rows``.
    """

    def round_rows(weight: torch.Tensor, grid: Grid, importance: torch.Tensor | None) -> Codes:
        codes = rounds(weight.clone(), grid, None if importance is None else importance.clone())
        check_codes(codes, len(weight), weight.shape[1], grid)
        return codes

    return round_rows


def check_codes(codes: object, rows: int, inputs: int, grid: Grid) -> None:
    """Refuse what are no codes of so many rows.

    Args:
        codes: What was given.
        rows: Rows.
        inputs: Columns.
        grid: What they are rounded to.

    Raises:
        TypeError: They are of another type.
        ValueError: They have another shape, or numbers that cannot be stored.
    """
    import torch

    if not isinstance(codes, Codes):
        raise TypeError(f"it gave {type(codes).__name__}, no Codes")
    groups = inputs // grid.group
    for name, shape, kind in (
        ("integers", (rows, groups, grid.group), torch.uint8),
        ("scales", (rows, groups, 1), torch.float16),
        ("zeros", (rows, groups, 1), torch.uint8),
    ):
        found = getattr(codes, name)
        if tuple(found.shape) != shape or found.dtype != kind:
            raise ValueError(
                f"its {name} are {str(found.dtype).removeprefix('torch.')}{list(found.shape)}, "
                f"and not {str(kind).removeprefix('torch.')}{list(shape)}"
            )
    if not bool(codes.scales.isfinite().all()):
        raise ValueError("its scales are not all finite")
    highest = max(int(codes.integers.max()), int(codes.zeros.max()))
    if highest > grid.highest:
        raise ValueError(f"its codes go to {highest}, and {grid.bits} bits to {grid.highest}")
    if grid.symmetric and not bool((codes.zeros == grid.middle).all()):
        raise ValueError(f"its zero points are not all {grid.middle}, as symmetric groups have")
