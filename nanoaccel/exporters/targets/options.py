"""Options of an export."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.calibration.datasets.options import CalibrationOptions
from nanoaccel.exporters.quantize.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Options of an export; see ``export``.

    Args:
        recipe: How weights are stored; None leaves it to the size of the model.
        targets: Names of the targets to make it for, the preferred one first.
        fallback: Whether OpenVINO's graph takes the place of one that cannot be made.
        note: Why it does; empty when it does not.
    """

    recipe: Recipe | None
    calibration: CalibrationOptions | None
    judge_tokens: int
    search_seconds: float | None
    draft: str
    targets: tuple[str, ...]
    fallback: bool
    note: str = ""

    @property
    def settled(self) -> Recipe:
        """The recipe, once the model is known."""
        assert self.recipe is not None, "the model's size decides first"
        return self.recipe
