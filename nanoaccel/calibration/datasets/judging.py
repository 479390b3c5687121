"""The text that judges a model: no weight was chosen by it."""

from __future__ import annotations

from dataclasses import replace

from nanoaccel.calibration.datasets.encoder import TextEncoder
from nanoaccel.calibration.datasets.load import (
    CalibrationData,
    check_length,
    describe,
    read_tokens,
    too_short,
    windows_of_text,
)
from nanoaccel.calibration.datasets.options import DOCS, SELF, CalibrationOptions
from nanoaccel.calibration.datasets.windows import PackedTokens, choose_windows, cut


def judging_windows(
    options: CalibrationOptions,
    encoder: TextEncoder,
    tokens: int,
    context: int,
    *,
    whole: bool = False,
) -> CalibrationData:
    """Give the windows to judge a compression on.

    They are spread over the part of the text from which options with these shares take no sample,
    whatever the length of a window; for ``self`` over that part of ``docs``. So the same text may
    calibrate and judge.

    Args:
        options: The text, its shares, and the length of a window.
        encoder: The model's tokenizer.
        tokens: How many to judge on, at least a window; fewer where the text has no more.
        context: The longest window that the model can read, tokens.
        whole: Read the text from its start instead: nothing of it calibrated the model.

    Returns:
        Held-out windows, and no samples.

    Raises:
        ConfigError: A window does not fit the context, or the source or its column is unknown.
        SourceError: The text cannot be read, or there is too little of it.
        MissingExtraError: Reading it needs the extra "calibration".
    """
    if options.source == SELF:
        options = replace(options, source=DOCS)
    check_length(options, context)
    most = max(1, tokens // options.length)
    if whole:
        name, windows = windows_of_text(
            options.source, encoder, options.length, most, column=options.column
        )
        return CalibrationData(name, (), tuple(windows))
    return _behind_samples(options, encoder, most)


def first_judging_window(options: CalibrationOptions, tokens: PackedTokens) -> int:
    """Number of the first window that may judge.

    Samples end before their share of the tokens does, in windows of any length.
    """
    return -(-len(tokens.ids) * options.samples // (options.windows * options.length))


def _behind_samples(
    options: CalibrationOptions, encoder: TextEncoder, most: int
) -> CalibrationData:
    text, tokens = read_tokens(options, encoder)
    border = first_judging_window(options, tokens)
    available = len(tokens.ids) // options.length - border
    if available < 1:
        raise too_short(
            text,
            tokens,
            f"behind the share of {options.samples} samples there is no window of "
            f"{options.length} to judge on",
        )
    _, numbers = choose_windows(available, 0, min(most, available), options.seed)
    windows = tuple(
        cut(tokens.ids, border + number, options.length, encoder.begin_ids) for number in numbers
    )
    return CalibrationData(describe(text, tokens), (), windows)
