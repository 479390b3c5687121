"""From a row of logits to the tokens that may be drawn and their probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.sampling.scratch import scratch
from nanoaccel.runtime.sampling.selection import at_least, bound_of_top, largest
from nanoaccel.runtime.sampling.settings import SamplingSettings

_BLOCK = 256
# More than this, and differences of f32 logits times it would leave f32 for good.
_MAX_SCALE = 1e30
# Candidates are taken a little too widely, so that rounding loses none; what decides comes later.
_SLACK = 1e-3
_EAGER = 16


@dataclass(frozen=True, slots=True)
class Distribution:
    """The tokens that may be drawn, by ascending id, and how likely each is.

    Args:
        token_ids: i64[K]; None if every token may be drawn, so that K = V.
        weights: f32[K], in proportion to the probabilities; the likeliest token has 1. f32[V] is
            scratch memory, which the thread's next row overwrites.
    """

    token_ids: NDArray[np.intp] | None
    weights: NDArray[np.float32]

    def draw(self, uniform: float) -> int:
        """The token id that a number in [0, 1) selects, by inverting the distribution function.

        Tokens are in the order of their ids, not of their probabilities: logits that differ in
        the last digit because of what else is in the batch then hardly ever change the token.
        """
        index = _invert(self.weights, uniform)
        return index if self.token_ids is None else int(self.token_ids[index])


def distribution(row: NDArray[np.float32], peak: float, settings: SamplingSettings) -> Distribution:
    """Temperature, then top-k, then top-p, then min-p, as Hugging Face applies them.

    Each filter sees what the one before it left: top-p is a part of the mass of the top k
    tokens. Top-p (nucleus sampling, Holtzman et al. 2020) keeps the token with which the mass
    reaches it. Of equally likely tokens, those with lower ids are kept. The likeliest token always
    stays. A logit of -inf is never kept.

    The row is never sorted: each filter gives a bound below which no token can be kept, one
    comparison finds the candidates above it, and the filters look only at these.

    Args:
        row: f32[V], processed logits without NaN.
        peak: The largest value of row, finite.
        settings: With a temperature above 0.
    """
    top_k = settings.top_k if settings.top_k < row.size else 0
    top_p, min_p = settings.top_p, settings.min_p
    scale = scale_of(settings)
    mass: float | None = None
    if top_k:
        ids = at_least(row, bound_of_top(row, top_k))
    elif top_p < 1:
        every = exponentials(row, peak, scale, scratch.weights(row.size))
        mass = float(every.sum())
        ids = _nucleus_candidates(every, top_p, min_p, mass)
    elif min_p:
        ids = at_least(row, peak + (math.log(min_p) - _SLACK) / scale)
    else:
        return Distribution(None, exponentials(row, peak, scale, scratch.weights(row.size)))
    values = row[ids]
    descending = np.sort(values)[::-1]
    if top_k:
        descending = descending[:top_k]
    weights = exponentials(descending, peak, scale, np.empty_like(descending))
    count = _count_kept(weights, top_p, min_p, mass)
    if count < ids.size:
        kept = largest(values, descending[count - 1], count)
        ids, values = ids[kept], values[kept]
    return Distribution(ids, exponentials(values, peak, scale, np.empty_like(values)))


def scale_of(settings: SamplingSettings) -> float:
    """What logits are multiplied with."""
    return min(1 / settings.temperature, _MAX_SCALE)


def _nucleus_candidates(
    weights: NDArray[np.float32], top_p: float, min_p: float, mass: float
) -> NDArray[np.intp]:
    """Ids, ascending, of a superset of what top-p and min-p keep of the weights (f32[V])."""
    # V tokens below this bound have less mass together than top-p may leave out. The bound is so
    # low only for a flat tail, so a higher one is tried first and its candidates' mass checked.
    sure = (1 - top_p) * mass / weights.size
    ids = at_least(weights, max(_EAGER * sure, min_p) * (1 - _SLACK))
    if float(weights[ids].sum()) < top_p * mass:
        ids = at_least(weights, max(sure, min_p) * (1 - _SLACK))
    return ids


def exponentials(
    values: NDArray[np.float32], peak: float, scale: float, out: NDArray[np.float32]
) -> NDArray[np.float32]:
    """exp((values - peak) * scale) of values (f32[N]), written to out (f32[N])."""
    # Beyond f32 the difference becomes -inf, whose exponential is the right one: 0.
    with np.errstate(over="ignore"):
        np.subtract(values, peak, out=out)
        if scale != 1:
            np.multiply(out, scale, out=out)
    return np.exp(out, out=out)


def _count_kept(
    weights: NDArray[np.float32], top_p: float, min_p: float, mass: float | None
) -> int:
    """How many of the descending weights (f32[N]) stay; mass None: top-p is of their own mass."""
    count = weights.size
    if top_p < 1:
        cumulative = weights.cumsum(dtype=np.float64)
        whole = float(cumulative[-1]) if mass is None else mass
        count = min(count, int(cumulative.searchsorted(top_p * whole)) + 1)
    if min_p:
        count = min(count, int(np.count_nonzero(weights >= min_p)))
    return count


def _invert(weights: NDArray[np.float32], uniform: float) -> int:
    """The index in weights (K numbers) where their running sum passes uniform of the total.

    Sums of blocks find the block, and only this block is summed up number by number.
    """
    if weights.size <= _BLOCK:
        cumulative = weights.cumsum(dtype=np.float64)
        return _passes(cumulative, uniform * float(cumulative[-1]))
    sums = np.add.reduceat(weights, np.arange(0, weights.size, _BLOCK))
    cumulative = sums.cumsum(dtype=np.float64)
    target = uniform * float(cumulative[-1])
    block = _passes(cumulative, target)
    if block:
        target -= float(cumulative[block - 1])
    start = block * _BLOCK
    return start + _passes(weights[start : start + _BLOCK].cumsum(dtype=np.float64), target)


def _passes(cumulative: NDArray[np.float64], target: float) -> int:
    """The first index whose running sum is above target, so that its weight is not 0."""
    index = int(cumulative.searchsorted(target, side="right"))
    if index == cumulative.size:  # target was rounded up to the total
        index = int(cumulative.searchsorted(cumulative[-1]))
    return index
