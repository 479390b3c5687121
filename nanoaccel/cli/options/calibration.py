"""Options of the text that calibrates, and of how recipes are searched and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanoaccel.cli.options.recipe import LIMITS_PANEL

if TYPE_CHECKING:
    from nanoaccel.calibration.datasets.options import CalibrationOptions

TEXT_PANEL = "Calibration and judgement"


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationFlags:
    """Which text calibrates; the defaults are those of ``CalibrationOptions``."""

    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Text that chooses numbers: docs (Python's language reference), self (the model "
            "writes it), a .txt, .jsonl or .parquet file, or a data set on the hub.",
            show_default="docs",
            rich_help_panel=TEXT_PANEL,
        ),
    ] = None
    calibration_column: Annotated[
        str | None, typer.Option(help="Column of its rows.", rich_help_panel=TEXT_PANEL)
    ] = None
    calibration_samples: Annotated[
        int | None, typer.Option(help="Samples.", show_default="64", rich_help_panel=TEXT_PANEL)
    ] = None
    calibration_length: Annotated[
        int | None,
        typer.Option(help="Tokens in each.", show_default="256", rich_help_panel=TEXT_PANEL),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(help="Chooses the samples.", show_default="0", rich_help_panel=TEXT_PANEL),
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
        typer.Option(
            "--auto", help="Try recipes and take the best one.", rich_help_panel=LIMITS_PANEL
        ),
    ] = False
    time_budget: Annotated[
        float,
        typer.Option(
            metavar="MINUTES",
            help="With --auto, time for the export.",
            rich_help_panel=LIMITS_PANEL,
        ),
    ] = 15.0
    judge_tokens: Annotated[
        int | None,
        typer.Option(
            help="Tokens over which the result is compared with the original.",
            show_default="4096, or 16384 where limits depend on it",
            rich_help_panel=TEXT_PANEL,
        ),
    ] = None

    @property
    def seconds(self) -> float | None:
        """Time for the search; None when there is none."""
        return self.time_budget * 60 if self.auto else None
