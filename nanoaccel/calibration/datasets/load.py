"""Samples for calibrating, and held-out ones for judging."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanoaccel.calibration.datasets.encoder import TextEncoder
from nanoaccel.calibration.datasets.options import DOCS, SELF, CalibrationOptions
from nanoaccel.calibration.datasets.sources import TextSource, open_source
from nanoaccel.calibration.datasets.windows import PackedTokens, choose_windows, cut, pack
from nanoaccel.errors import ConfigError, SourceError

_STREAM_FACTOR = 16  # a stream is read until there is this many times what is needed to choose from

Windows = tuple[NDArray[np.int64], ...]
OwnText = Callable[[int], Iterable[NDArray[np.int64]]]


@dataclass(frozen=True, slots=True)
class CalibrationData:
    """Token windows of one text.

    Args:
        name: What the text is, for a report.
        samples: To calibrate with, i64[length] each.
        held_out: To judge with, i64[length] each; from another part of the text.
    """

    name: str
    samples: Windows
    held_out: Windows

    @property
    def digest(self) -> str:
        """sha256 over all tokens and where they are cut: names what is computed from them."""
        state = hashlib.sha256()
        for part in (self.samples, self.held_out):
            state.update(f"{[len(window) for window in part]}".encode())
            for window in part:
                state.update(window.astype("<i8").tobytes())
        return state.hexdigest()


def load_calibration(
    options: CalibrationOptions,
    encoder: TextEncoder,
    *,
    context: int,
    own_text: OwnText | None = None,
) -> CalibrationData:
    """Give the samples and the held-out windows that the options ask for.

    The windows are spread over the whole text, the held-out ones over its last part; of a data
    set on the hub, over its first rows, sixteen times as many as are needed. The same options and
    the same text give the same windows.

    Args:
        options: Text to read, and how much.
        encoder: The model's tokenizer.
        context: The longest window that the model can read, tokens.
        own_text: Function that makes that many windows i64[length] of the model's own text,
            for ``self``.

    Raises:
        ConfigError: A window does not fit the context, or the source or its column is unknown.
        SourceError: The text cannot be read, or there is too little of it.
        MissingExtraError: Reading it needs the extra "calibration".
    """
    check_length(options, context)
    if options.source == SELF:
        return _from_model(options, own_text)
    return _from_text(options, encoder)


def windows_of_text(
    source: str,
    encoder: TextEncoder,
    length: int,
    limit: int | None = None,
    *,
    column: str | None = None,
) -> tuple[str, list[NDArray[np.int64]]]:
    """Cut a whole text into windows, one after another, to judge a model on it.

    Args:
        source: As in `CalibrationOptions`, but for ``self``.
        encoder: The model's tokenizer.
        length: Tokens in a window; the last one may be shorter.
        limit: Most windows to give; None is all.
        column: Column of its rows; None finds one.

    Returns:
        What the text is, and its windows, i64[<= length] each, of two tokens or more.

    Raises:
        ConfigError: The source or its column is unknown.
        SourceError: The text cannot be read, or has no two tokens.
        MissingExtraError: Reading it needs the extra "calibration".
    """
    for name, value, least in (("length", length, 2), ("limit", limit, 1)):
        if value is not None and value < least:
            raise ConfigError(f"{name}={value} is out of range", f"It must be {least} or more")
    text = open_source(source, column)
    tokens = pack(text.documents, encoder, None if limit is None else limit * length)
    # A last window of one token predicts nothing.
    count = (len(tokens.ids) + length - 2) // length
    if count == 0:
        raise too_short(text, tokens, "a judgement needs 2")
    numbers = range(count if limit is None else min(count, limit))
    return describe(text, tokens), [
        cut(tokens.ids, number, length, encoder.begin_ids) for number in numbers
    ]


def _from_model(options: CalibrationOptions, own_text: OwnText | None) -> CalibrationData:
    if own_text is None:
        raise ConfigError(
            f"calibration source is {SELF!r}, and there is no model to write it",
            f"Name a file, a data set or {DOCS}",
        )
    windows = tuple(own_text(options.windows))
    assert [window.shape for window in windows] == [(options.length,)] * options.windows
    return CalibrationData(
        f"the model's own text (seed {options.seed})",
        windows[: options.samples],
        windows[options.samples :],
    )


def check_length(options: CalibrationOptions, context: int) -> None:
    """Raises ConfigError when a window does not fit the context."""
    if options.length > context:
        raise ConfigError(
            f"length={options.length} is longer than the model's context, {context}",
            f"Choose at most {context}",
        )


def read_tokens(
    options: CalibrationOptions, encoder: TextEncoder
) -> tuple[TextSource, PackedTokens]:
    """The text, and as much of its tokens as windows are chosen from."""
    text = open_source(options.source, options.column)
    enough = options.windows * options.length * _STREAM_FACTOR
    return text, pack(text.documents, encoder, enough if text.streamed else None)


def _from_text(options: CalibrationOptions, encoder: TextEncoder) -> CalibrationData:
    text, tokens = read_tokens(options, encoder)
    needed = options.windows * options.length
    if len(tokens.ids) < needed:
        raise too_short(
            text,
            tokens,
            f"{options.samples} samples and {options.held_out} held out, of {options.length} "
            f"tokens each, need {needed}",
        )
    total = len(tokens.ids) // options.length
    samples, held_out = choose_windows(total, options.samples, options.held_out, options.seed)

    def windows(numbers: list[int]) -> Windows:
        return tuple(
            cut(tokens.ids, number, options.length, encoder.begin_ids) for number in numbers
        )

    return CalibrationData(describe(text, tokens), windows(samples), windows(held_out))


def too_short(text: TextSource, tokens: PackedTokens, need: str) -> SourceError:
    """The error for a text that is too short."""
    if tokens.documents == 0:
        return SourceError(f"{text.name} has no text in it", "Name another text")
    return SourceError(
        f"{text.name} has {len(tokens.ids)} tokens, and {need}",
        "Name a longer text, or ask for fewer or shorter windows",
    )


def describe(text: TextSource, tokens: PackedTokens) -> str:
    """What was read, for a report."""
    return text.name if tokens.whole else f"{text.name}, first {tokens.documents} rows"
