"""Log-probabilities of tokens, as the model gave them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.sampling.distribution import exponentials
from nanoaccel.runtime.sampling.scratch import scratch
from nanoaccel.runtime.sampling.selection import at_least, bound_of_top


def log_probabilities(
    row: NDArray[np.float32], peak: float, token_id: int, k: int
) -> tuple[float, tuple[tuple[int, float], ...]]:
    """Log-softmax of one token and of the k likeliest.

    Args:
        row: f32[V], the model's logits, before penalties and temperature.
        peak: The largest value of row, finite.
        token_id: The token that was chosen.
        k: How many of the likeliest; 0 gives an empty tuple.

    Returns:
        The token's log-probability, and (id, log-probability) of the k likeliest, likeliest first,
        of ties the lower id first.
    """
    weights = exponentials(row, peak, 1, scratch.weights(row.size))
    total = peak + math.log(float(weights.sum()))
    return float(row[token_id]) - total, tuple((i, value - total) for i, value in _top(row, k))


def _top(row: NDArray[np.float32], k: int) -> list[tuple[int, float]]:
    if k == 0:
        return []
    ids = at_least(row, bound_of_top(row, min(k, row.size)))
    values = row[ids]
    order = np.argsort(-values, kind="stable")[:k]
    return list(zip(ids[order].tolist(), values[order].tolist(), strict=True))
