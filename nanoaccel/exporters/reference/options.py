"""What an export asks of the original."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.calibration.datasets.options import CalibrationOptions
from nanoaccel.exporters.quantize.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureOptions:
    """What recipes and targets need of the original.

    Args:
        recipe: Types and layout; the first that is tried.
        calibration: Whether any recipe is calibrated.
        sensitivity: Whether any gives layers different types.
        options: Text to calibrate with.
        judge_tokens: Tokens to judge with.
        targets: Names of the targets that graphs will be made for.
    """

    recipe: Recipe
    calibration: bool
    sensitivity: bool
    options: CalibrationOptions
    judge_tokens: int
    targets: tuple[str, ...]
