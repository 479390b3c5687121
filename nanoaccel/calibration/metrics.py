"""How far one model's predictions are from another's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Predictions of a model against those of its reference, over the same text.

    Args:
        kl: Kullback-Leibler divergence from the reference, nats a token, mean.
        top1_agreement: Share of positions where both have the same likeliest token.
        perplexity: Of the model on the text.
        reference_perplexity: Of the reference on the text.
        max_logit_difference: Largest absolute difference of two logits.
        tokens: Positions that were compared.
    """

    kl: float
    top1_agreement: float
    perplexity: float
    reference_perplexity: float
    max_logit_difference: float
    tokens: int


def fidelity(
    logits: NDArray[np.float32], reference: NDArray[np.float32], token_ids: NDArray[np.int64]
) -> Fidelity:
    """Compare logits with reference logits.

    Args:
        logits: f32[T, V].
        reference: f32[T, V].
        token_ids: i64[T]; row t predicts token t+1.
    """
    found, expected = log_softmax(logits), log_softmax(reference)
    divergence = (np.exp(expected) * (expected - found)).sum(axis=-1)
    same = logits.argmax(axis=-1) == reference.argmax(axis=-1)
    return Fidelity(
        kl=float(divergence.mean()),
        top1_agreement=float(same.mean()),
        perplexity=_perplexity(found, token_ids),
        reference_perplexity=_perplexity(expected, token_ids),
        max_logit_difference=float(np.abs(logits - reference).max()),
        tokens=len(token_ids),
    )


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-probabilities f64[..., V] of logits f32[..., V]."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    normalized: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normalized


def _perplexity(log_probabilities: NDArray[np.float64], token_ids: NDArray[np.int64]) -> float:
    next_tokens = log_probabilities[np.arange(len(token_ids) - 1), token_ids[1:]]
    return float(np.exp(-next_tokens.mean()))
