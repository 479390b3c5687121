"""Which plugins took part in an export."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nanoaccel.calibration.datasets.sources import source_name
from nanoaccel.registry import (
    CALIBRATION_SOURCES,
    COMPRESSION_METHODS,
    EXPORT_TARGETS,
    MODEL_SOURCES,
    ExtensionPoint,
)

if TYPE_CHECKING:
    from nanoaccel.exporters.plan import ExportPlan
    from nanoaccel.exporters.quantize.recipe import Recipe


@dataclass(frozen=True, slots=True)
class UsedPlugin:
    """A part of another package.

    Args:
        part: What it is, as "compression method 'mine'".
        package: Its package with the version, as "my-package 1.0".
    """

    part: str
    package: str

    @property
    def words(self) -> str:
        """Both in a few words."""
        return f"{self.part} of {self.package}"

    @property
    def tool(self) -> tuple[str, str]:
        """The package and its version."""
        name, _, version = self.package.partition(" ")
        return name, version


def plugins_of(plan: ExportPlan, recipe: Recipe, targets: Iterable[str]) -> list[UsedPlugin]:
    """The plugins of a bundle.

    Args:
        plan: The export.
        recipe: What made the weights.
        targets: Names of the targets that the bundle has graphs for.
    """
    used: list[tuple[ExtensionPoint, str]] = [
        *((COMPRESSION_METHODS, name) for name in recipe.methods),
        *((EXPORT_TARGETS, name) for name in targets),
        (CALIBRATION_SOURCES, source_name(plan.capture.options.source)),
    ]
    found = [
        UsedPlugin(f"{point.noun} {name!r}", package)
        for point, name in used
        if (package := point.package_of(name)) is not None
    ]
    if plan.source.package is not None:
        name = plan.source.id.partition(":")[0]
        found.append(UsedPlugin(f"{MODEL_SOURCES.noun} {name!r}", plan.source.package))
    return found
