"""Options of the calibration text."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.errors import ConfigError

SELF = "self"
DOCS = "docs"


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationOptions:
    """The calibration text, and how many windows of it are used.

    Args:
        source: ``self`` (the model writes it), ``docs`` (Python's language reference), a file or
            a folder (.txt, .md, .jsonl, .parquet), or a data set on the hub
            (``org/name[@revision][:config][:split]``), or NAME:REFERENCE of a plugin. A folder
            named docs is ``./docs``.
        column: The column of the rows to read; None finds messages, prompt with response, or text.
        samples: Windows to calibrate with.
        length: Tokens in each window.
        held_out: Windows to judge with; none of them is a sample.
        seed: Chooses the windows, and what the model writes.

    Raises:
        ConfigError: A number is too small, or a column is named for text that has none.
    """

    source: str = DOCS
    column: str | None = None
    samples: int = 64
    length: int = 256
    held_out: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        # A window of one token predicts nothing.
        for name, least in (("samples", 1), ("length", 2), ("held_out", 0), ("seed", 0)):
            value = getattr(self, name)
            if value < least:
                raise ConfigError(
                    f"calibration {name}={value} is out of range", f"It must be {least} or more"
                )
        if not self.source:
            raise ConfigError(
                "calibration source is empty", f"Name a file, a data set, {DOCS} or {SELF}"
            )
        if self.column is not None and self.source in (SELF, DOCS):
            raise ConfigError(
                f"calibration column={self.column!r} is out of place: {self.source} has none",
                "Leave it out, or name a file or data set of rows",
            )

    @property
    def windows(self) -> int:
        """Windows in all: samples, then held-out ones."""
        return self.samples + self.held_out
