"""How far one model's predictions are from another's, in llama.cpp's terms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Rows that are worked on at once: over 128,000 words they take 33 MB, not a gigabyte.
_ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Perplexity:
    """How well a model predicts a text.

    Args:
        text: What was read.
        tokens: Positions that were predicted.
        perplexity: exp of the mean of -ln p(right token).
        perplexity_error: Its standard error.
    """

    text: str
    tokens: int
    perplexity: float
    perplexity_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """Predictions of a model against those of its reference, over the same text.

    The ``..._error`` of a mean is its standard error over positions.

    Args:
        text: What was read.
        tokens: Positions that were compared.
        kl: Kullback-Leibler divergence from the reference, nats a token, mean.
        kl_error: Standard error of that mean.
        kl_median: Median over all positions.
        kl_99: Only one position in a hundred diverges more.
        top1_agreement: Share of positions where both have the same likeliest token.
        top1_error: Standard error of that share.
        perplexity: Perplexity of the model on the text.
        perplexity_error: Standard error of that perplexity.
        reference_perplexity: Perplexity of the reference on the text.
        log_ratio: ln(perplexity / reference perplexity).
        log_ratio_error: Standard error of that; small where each is uncertain, because both read
            the same text.
        probability_change: Mean change of the right token's probability.
        probability_change_error: Standard error of that mean.
        probability_change_rms: Root mean square of that change.
    """

    text: str
    tokens: int
    kl: float
    kl_error: float
    kl_median: float
    kl_99: float
    top1_agreement: float
    top1_error: float
    perplexity: float
    perplexity_error: float
    reference_perplexity: float
    log_ratio: float
    log_ratio_error: float
    probability_change: float
    probability_change_error: float
    probability_change_rms: float


class PerplexityMeter:
    """Reads window after window; one number a position is kept."""

    def __init__(self) -> None:
        self._right: list[NDArray[np.float32]] = []

    def add(self, logits: NDArray[np.float32], token_ids: NDArray[np.int64]) -> None:
        """Read a window.

        Args:
            logits: f32[T, V] of the model.
            token_ids: i64[T]; row t predicts token t+1.
        """
        for begin in range(0, len(token_ids) - 1, _ROWS):
            right = token_ids[begin + 1 : begin + 1 + _ROWS]
            logs = log_softmax(logits[begin : begin + len(right)])
            self._right.append(logs[np.arange(len(right)), right])

    def result(self, text: str) -> Perplexity:
        """The result.

        Args:
            text: Name of what was read, two tokens or more.
        """
        right = np.concatenate(self._right).astype(np.float64)
        perplexity, error = _perplexity(right)
        return Perplexity(
            text=text, tokens=len(right), perplexity=perplexity, perplexity_error=error
        )


class FidelityMeter:
    """Compares window after window; only a few numbers a position are kept.

    Args:
        rows: Positions that are compared at once.
    """

    def __init__(self, rows: int = _ROWS) -> None:
        self._rows = rows
        self._kl: list[NDArray[np.float32]] = []
        self._same: list[NDArray[np.bool_]] = []
        self._right: list[NDArray[np.float32]] = []
        self._right_reference: list[NDArray[np.float32]] = []

    def add(
        self,
        logits: NDArray[np.float32],
        reference: NDArray[np.float32],
        token_ids: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Compare logits over a window of text.

        Args:
            logits: f32[T, V] of the model.
            reference: f32[T, V], logits or log-probabilities.
            token_ids: i64[T], or i64[T+1] where the window goes on; row t predicts token t+1.

        Returns:
            f32[T], the divergence at each position.
        """
        before = len(self._kl)
        for begin in range(0, len(logits), self._rows):
            rows = slice(begin, begin + self._rows)
            right = token_ids[begin + 1 : begin + 1 + self._rows]
            self._add_rows(logits[rows], reference[rows], right)
        return np.concatenate(self._kl[before:])

    def _add_rows(
        self,
        logits: NDArray[np.float32],
        reference: NDArray[np.float32],
        right: NDArray[np.int64],
    ) -> None:
        """Compare f32[R, V] with f32[R, V]; the last row of a window has no right token."""
        found, expected = log_softmax(logits), log_softmax(reference)
        self._same.append(found.argmax(axis=-1) == expected.argmax(axis=-1))
        right_tokens = (np.arange(len(right)), right)
        self._right.append(found[right_tokens])
        self._right_reference.append(expected[right_tokens])
        np.subtract(expected, found, out=found)
        np.exp(expected, out=expected)
        self._kl.append(np.einsum("tv,tv->t", expected, found))

    def result(self, text: str) -> Fidelity:
        """The result.

        Args:
            text: Name of what was read, two tokens or more.
        """
        kl = np.concatenate(self._kl).astype(np.float64)
        same = np.concatenate(self._same).astype(np.float64)
        right = np.concatenate(self._right).astype(np.float64)
        expected = np.concatenate(self._right_reference).astype(np.float64)
        change = np.exp(right) - np.exp(expected)
        perplexity, perplexity_error = _perplexity(right)
        return Fidelity(
            text=text,
            tokens=len(kl),
            kl=float(kl.mean()),
            kl_error=_error(kl),
            kl_median=float(np.median(kl)),
            kl_99=float(np.quantile(kl, 0.99)),
            top1_agreement=float(same.mean()),
            top1_error=_error(same),
            perplexity=perplexity,
            perplexity_error=perplexity_error,
            reference_perplexity=_perplexity(expected)[0],
            log_ratio=float((expected - right).mean()),
            log_ratio_error=_error(expected - right),
            probability_change=float(change.mean()),
            probability_change_error=_error(change),
            probability_change_rms=float(np.sqrt(np.square(change).mean())),
        )


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-probabilities f32[..., V] of logits f32[..., V]; what is given stays as it is."""
    shifted: NDArray[np.float32] = logits - logits.max(axis=-1, keepdims=True)
    total = np.exp(shifted).sum(axis=-1, keepdims=True, dtype=np.float64)
    shifted -= np.log(total).astype(np.float32)
    return shifted


def _perplexity(right: NDArray[np.float64]) -> tuple[float, float]:
    """Perplexity and its standard error, of log-probabilities of right tokens."""
    perplexity = float(np.exp(-right.mean()))
    # The error of exp(x) is exp(x) times that of x, as long as that is small.
    return perplexity, perplexity * _error(right)


def _error(values: NDArray[np.float64]) -> float:
    """Standard error of the mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
