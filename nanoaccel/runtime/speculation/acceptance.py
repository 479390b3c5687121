"""How likely a draft token is accepted: learned from all requests, and from its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

# Draft tokens that the priors count as, and how much of the past remains with each new one.
_PRIOR_WEIGHT = 8.0
_MEMORY = 0.99
# How far a draft token moves a request's own odds, and how much of them remains.
_STEP = 0.35
_LEAN = 0.98
_SUREST = 0.99


class AcceptanceHistory:
    """How often the draft tokens of a drafter were accepted, by confidence bucket.

    A discounted mean for each bucket, over all requests.

    Args:
        priors: Rates to begin with.
    """

    def __init__(self, priors: Sequence[float]) -> None:
        self._trials = [_PRIOR_WEIGHT] * len(priors)
        self._hits = [_PRIOR_WEIGHT * rate for rate in priors]
        self._mean = sum(priors) / len(priors)

    @property
    def mean(self) -> float:
        """The acceptance rate lately, of all buckets together."""
        return self._mean

    def rate(self, bucket: int) -> float:
        """The acceptance rate lately."""
        return self._hits[bucket] / self._trials[bucket]

    def note(self, bucket: int, right: bool) -> None:
        """Learn from a draft token that was verified."""
        self._trials[bucket] = self._trials[bucket] * _MEMORY + 1
        self._hits[bucket] = self._hits[bucket] * _MEMORY + right
        self._mean += (1 - _MEMORY) * (right - self._mean)


class AcceptanceEstimator:
    """The chance that a draft token of one request is accepted.

    Some texts are easier to predict than others, in all confidence buckets: the request has odds of
    its own by which those of experience are multiplied, learned by logistic regression with this
    one unknown.

    Args:
        history: Counts of the drafter over all requests.
    """

    def __init__(self, history: AcceptanceHistory) -> None:
        self._history = history
        self._lean, self._factor = 0.0, 1.0

    def chance(self, bucket: int) -> float:
        """The chance that a draft token of this bucket is accepted after those before it were."""
        return self._leaning(self._history.rate(bucket))

    def outlook(self) -> float:
        """The chance that a draft token is accepted whose bucket is not known yet."""
        return self._leaning(self._history.mean)

    def note(self, bucket: int, right: bool) -> None:
        """Learn from a draft token that was verified."""
        self._lean = self._lean * _LEAN + _STEP * (right - self.chance(bucket))
        self._factor = math.exp(self._lean)
        self._history.note(bucket, right)

    def _leaning(self, rate: float) -> float:
        rate = min(max(rate, 1 - _SUREST), _SUREST)
        odds = self._factor * rate / (1 - rate)
        return min(odds / (1 + odds), _SUREST)
