"""The largest values of a long row, found without sorting the row."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import GenerationError
from nanoaccel.runtime.sampling.scratch import scratch

_LOWEST = float(np.finfo(np.float32).min)
_COLUMNS = 1024


def finite(peak: float) -> float:
    """The largest logit of a row, which is NaN if any logit is.

    Raises:
        GenerationError: It is no number.
    """
    if not math.isfinite(peak):
        raise GenerationError(
            f"the model gave logits that are not numbers (the largest is {peak})",
            "Run it with inference precision f32, or export the model again",
        )
    return peak


def at_least(row: NDArray[np.float32], bound: float) -> NDArray[np.intp]:
    """Ids, ascending, of the finite values of row (f32[V]) that are not below bound."""
    mask = scratch.mask(row.size)
    np.greater_equal(row, max(bound, _LOWEST), out=mask)
    return mask.nonzero()[0]


def bound_of_top(row: NDArray[np.float32], k: int) -> float:
    """A number that at least k values of row (f32[V], k <= V) reach, and usually few more.

    The row is folded into many more columns than k. The k largest column maxima are k values of
    the row, so its k-th largest value is not below the least of them.
    """
    columns = min(row.size, max(_COLUMNS, 8 * k))
    folded = row[: row.size // columns * columns].reshape(-1, columns)
    maxima = np.maximum.reduce(folded, axis=0)
    maxima.partition(columns - k)
    return float(maxima[columns - k])


def largest(values: NDArray[np.float32], cut: np.float32, k: int) -> NDArray[np.intp]:
    """Places, ascending, of the k largest of values (f32[N]); of ties, the first.

    cut is the least of these k.
    """
    kept = values >= cut
    excess = int(np.count_nonzero(kept)) - k
    if excess:
        ties = (values == cut).nonzero()[0]
        kept[ties[-excess:]] = False
    return kept.nonzero()[0]
