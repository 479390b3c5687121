"""The text that teaches, and the text that judges; no window is in both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nanoaccel.calibration.datasets import (
    CalibrationData,
    CalibrationOptions,
    PromptFrame,
    TextEncoder,
    cached_windows,
    judging_windows,
    token_cache_folder,
    write_own_text,
)
from nanoaccel.calibration.datasets.judging import first_judging_window
from nanoaccel.calibration.datasets.load import describe, read_tokens, too_short
from nanoaccel.calibration.datasets.options import SELF
from nanoaccel.calibration.datasets.windows import cut
from nanoaccel.exporters.progress import Tell

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Writer:
    """A model that writes text.

    Args:
        model: Its weights are loaded.
        content: Names them.
        end_ids: Tokens that end a text.
    """

    model: PreTrainedModel
    content: str
    end_ids: tuple[int, ...]


def judging_text(
    options: CalibrationOptions, encoder: TextEncoder, tokens: int, context: int
) -> CalibrationData:
    """Windows to judge with; those of an export with these options, so that figures compare."""
    return judging_windows(options, encoder, tokens, context)


def teaching_text(
    options: CalibrationOptions,
    encoder: TextEncoder,
    writer: Writer,
    tell: Tell,
) -> CalibrationData:
    """Windows to learn from: all of the text before the part that judges.

    Args:
        options: The text, and the length of a window; of what the model writes, how many.
        encoder: The model's tokenizer.
        writer: The original, which writes the text where that is asked for.
        tell: Called with the share that is written.

    Raises:
        ConfigError, SourceError, MissingExtraError: There is no such text, or too
            little of it.
    """
    if options.source != SELF:
        return _all_before_judging(options, encoder)
    return _written(options, encoder, writer, tell)


def _written(
    options: CalibrationOptions, encoder: TextEncoder, writer: Writer, tell: Tell
) -> CalibrationData:
    frame = PromptFrame.of(encoder, writer.end_ids)
    shape = (options.samples, options.length)
    windows = cached_windows(
        token_cache_folder(),
        f"recovery {writer.content} {frame} {shape} {options.seed}",
        shape,
        lambda: write_own_text(
            writer.model,
            frame,
            windows=options.samples,
            length=options.length,
            seed=options.seed,
            tick=lambda done: tell(done, "the model writes it"),
        ),
    )
    return CalibrationData(f"the model's own text (seed {options.seed})", tuple(windows), ())


def _all_before_judging(options: CalibrationOptions, encoder: TextEncoder) -> CalibrationData:
    text, tokens = read_tokens(options, encoder)
    # The last window before the border may reach over it.
    count = first_judging_window(options, tokens) - 1
    if count < 1:
        raise too_short(text, tokens, f"one window of {options.length} is needed to learn from")
    windows = tuple(
        cut(tokens.ids, number, options.length, encoder.begin_ids) for number in range(count)
    )
    return CalibrationData(describe(text, tokens), windows, ())
