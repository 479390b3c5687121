"""Options of the text that calibrates, and of how recipes are searched and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from nanoaccel.cli.options.panels import in_limits, in_text
from nanoaccel.cli.options.plugged import plugged_names
from nanoaccel.registry import CALIBRATION_SOURCES

if TYPE_CHECKING:
    from nanoaccel.calibration.datasets.options import CalibrationOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationFlags:
    """Which text calibrates; the defaults are those of ``CalibrationOptions``."""

    calibration: Annotated[
        str | None,
        in_text(
            metavar="SOURCE",
            help="Text that chooses numbers: docs (Python's language reference), self (the model "
            "writes it), a .txt, .jsonl or .parquet file, or a data set on the hub."
            f"{plugged_names(CALIBRATION_SOURCES, ':...')}",
            show_default="docs",
        ),
    ] = None
    calibration_column: Annotated[str | None, in_text(help="Column of its rows.")] = None
    calibration_samples: Annotated[int | None, in_text(help="Samples.", show_default="64")] = None
    calibration_length: Annotated[
        int | None,
        in_text(help="Tokens in each.", show_default="256"),
    ] = None
    seed: Annotated[
        int | None,
        in_text(help="Chooses the samples.", show_default="0"),
    ] = None

    def build(self) -> CalibrationOptions | None:
        """The options; None when no flag says anything.

        Raises:
            ConfigError: A value is wrong.
        """
        from nanoaccel.calibration.datasets.options import CalibrationOptions

        given = {
            "source": self.calibration,
            "column": self.calibration_column,
            "samples": self.calibration_samples,
            "length": self.calibration_length,
            "seed": self.seed,
        }
        changes: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
        return CalibrationOptions(**changes) if changes else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFlags:
    """How recipes are searched and judged."""

    auto: Annotated[
        bool,
        in_limits("--auto", help="Try recipes and take the best one."),
    ] = False
    time_budget: Annotated[
        float,
        in_limits(metavar="MINUTES", help="With --auto, time for the export."),
    ] = 15.0
    judge_tokens: Annotated[
        int | None,
        in_text(
            help="Tokens over which the result is compared with the original.",
            show_default="4096, or 16384 where limits depend on it",
        ),
    ] = None

    @property
    def seconds(self) -> float | None:
        """Time for the search; None when there is none."""
        return self.time_budget * 60 if self.auto else None
