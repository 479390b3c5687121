"""Options of a recovery."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from nanoaccel.calibration.datasets.options import CalibrationOptions
from nanoaccel.errors import ConfigError

MINUTES = 15.0
_LENGTH = 512
_JUDGED = 4096


def teaching_options(**given: Any) -> CalibrationOptions:
    """The options of a text that teaches: windows are longer than those that calibrate.

    Args:
        given: Fields of ``CalibrationOptions``.

    Raises:
        ConfigError: One is out of range.
    """
    return CalibrationOptions(**{"length": _LENGTH, **given})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryOptions:
    """How a bundle is recovered.

    Args:
        minutes: Time for all of it, judging included.
        text: Text that teaches; of it, or of ``docs`` where the model writes it, the part behind
            its samples judges.
        judge_tokens: Tokens over which the bundle is judged, before and after.
        original: Name of the model that the bundle was made from; None is what its manifest says.

    Raises:
        ConfigError: A number is out of range.
    """

    minutes: float = MINUTES
    text: CalibrationOptions = field(default_factory=teaching_options)
    judge_tokens: int = _JUDGED
    original: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.minutes < float("inf"):
            raise ConfigError(f"minutes={self.minutes:g} is out of range", "Give it some, as 15")
        if self.judge_tokens < self.text.length:
            raise ConfigError(
                f"judge_tokens={self.judge_tokens} is less than a window of {self.text.length}",
                "Judge over more tokens, or in shorter windows",
            )

    def within(self, context: int) -> RecoveryOptions:
        """The same with windows that fit a model."""
        if self.text.length <= context:
            return self
        return replace(self, text=replace(self.text, length=context))
