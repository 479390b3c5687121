"""Reads a text with a bundle, and says how well it predicts it, and how far from a reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nanoaccel.bundle import Bundle
from nanoaccel.calibration.datasets import CalibrationData, CalibrationOptions, judging_windows
from nanoaccel.calibration.metrics import Fidelity, FidelityMeter, Perplexity, PerplexityMeter
from nanoaccel.errors import ConfigError
from nanoaccel.evaluation.logits import BundleLogits
from nanoaccel.evaluation.original import (
    check_same_tokens,
    check_width,
    model_predictions,
    original_of,
)
from nanoaccel.evaluation.progress import Listener, in_tenths, tell_nobody
from nanoaccel.exporters.reference.encoder import ModelEncoder
from nanoaccel.runtime.backends import Precision

DOCS = "docs"
DEFAULT_TOKENS = 16384
DEFAULT_LENGTH = 512


def evaluate(
    bundle: str | Path,
    *,
    against: str | Path | None = None,
    text: str = DOCS,
    column: str | None = None,
    tokens: int = DEFAULT_TOKENS,
    length: int | None = None,
    precision: Precision = "f32",
    adapter: str | None = None,
    listener: Listener | None = None,
) -> Fidelity:
    """Compare what a bundle predicts with what its original, or another bundle, does.

    Args:
        bundle: A bundle's folder, or a plain folder that optimum-intel exported.
        against: A model, as for an export, or a bundle; None is the model that the bundle was made
            from, whose predictions are kept for the next time.
        text: ``docs``, a file, a folder, or a data set, as for a calibration. Of ``docs`` it is
            the part that calibrates nothing.
        column: Column of its rows; None finds one.
        tokens: How many to read; fewer where the text has no more.
        length: Tokens of a window; each is read for itself. None is 512, or the whole context
            where that is shorter.
        precision: "f32" shows what compression costs alone, "auto" all that happens when the
            bundle runs on this CPU.
        adapter: What the bundle runs with: the name of one of its adapters, or a folder.
        listener: Called with what is done.

    Raises:
        BundleError: A folder is not a bundle, or is damaged.
        ConfigError: An option is wrong, tokenizers differ, or the original has other weights now.
        SourceError: The text or the model cannot be read.
        MissingExtraError: What it needs is not installed.
    """
    tell = tell_nobody if listener is None else listener
    judged = _Judged.open(bundle, text, column, tokens, length, precision, adapter)
    if against is not None and Bundle.is_one(against):
        return _compare(judged, judged.with_other(Path(against)), tell)
    progress = in_tenths(tell, "running the original")
    if against is None:
        reference = original_of(judged.bundle, judged.judge, progress)
    else:
        reference = model_predictions(str(against), judged.bundle, judged.judge, progress)
    tell(f"loading {judged.bundle.folder}")
    with judged.load() as logits:
        check_width(logits.vocab_size, reference.vocab_size)
        return reference.judge(logits, tell=in_tenths(tell, "comparing"))


def perplexity(
    bundle: str | Path,
    *,
    text: str = DOCS,
    column: str | None = None,
    tokens: int = DEFAULT_TOKENS,
    length: int | None = None,
    precision: Precision = "f32",
    adapter: str | None = None,
    listener: Listener | None = None,
) -> Perplexity:
    """How well a bundle predicts a text; there is nothing to compare it with.

    Arguments are those of ``evaluate``.

    Raises:
        NanoAccelError: As ``evaluate``.
    """
    tell = tell_nobody if listener is None else listener
    judged = _Judged.open(bundle, text, column, tokens, length, precision, adapter)
    tell(f"loading {judged.bundle.folder}")
    meter, progress = PerplexityMeter(), in_tenths(tell, "reading")
    windows = judged.judge.held_out
    with judged.load() as logits:
        for index, window in enumerate(windows, 1):
            meter.add(logits(window), window)
            progress(index / len(windows))
    return meter.result(judged.judge.name)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A bundle, the text in its tokens, how it computes, and the adapter that it runs with."""

    bundle: Bundle
    judge: CalibrationData
    precision: Precision
    adapter: str | None = None

    @classmethod
    def open(
        cls,
        folder: str | Path,
        text: str,
        column: str | None,
        tokens: int,
        length: int | None,
        precision: Precision,
        adapter: str | None,
    ) -> _Judged:
        """Check the bundle and read the text; no graph is loaded."""
        if tokens < 2:
            raise ConfigError(f"tokens={tokens} is out of range", "It must be 2 or more")
        bundle = Bundle.open(folder)
        context = bundle.context_length
        chosen = min(DEFAULT_LENGTH, context, tokens) if length is None else length
        options = CalibrationOptions(source=text, column=column, length=chosen)
        encoder = ModelEncoder(bundle.tokenizer_folder)
        judge = judging_windows(options, encoder, tokens, context, whole=text != DOCS)
        return cls(bundle, judge, precision, adapter)

    def with_other(self, folder: Path) -> _Judged:
        """The same with another bundle, whose tokens must be the same."""
        other = Bundle.open(folder)
        check_same_tokens(self.bundle, ModelEncoder(other.tokenizer_folder), str(folder))
        return _Judged(other, self.judge, self.precision)

    def load(self) -> BundleLogits:
        """Load the graph."""
        length = max(map(len, self.judge.held_out))
        return BundleLogits(
            self.bundle, length=length, precision=self.precision, adapter=self.adapter
        )


def _compare(judged: _Judged, other: _Judged, tell: Listener) -> Fidelity:
    """Read the text with two bundles, window by window side by side."""
    meter, progress = FidelityMeter(), in_tenths(tell, "comparing")
    tell(f"loading {judged.bundle.folder} and {other.bundle.folder}")
    windows = judged.judge.held_out
    with judged.load() as found, other.load() as expected:
        check_width(found.vocab_size, expected.vocab_size)
        for index, window in enumerate(windows, 1):
            meter.add(found(window), expected(window), window)
            progress(index / len(windows))
    return meter.result(judged.judge.name)
