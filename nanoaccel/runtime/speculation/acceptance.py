"""How likely a guess is right: learned from all requests, and from the one that it is for."""

from __future__ import annotations

import math
from collections.abc import Sequence

# Guesses that the priors count as, and how much of the past remains with each new one.
_PRIOR_WEIGHT = 8.0
_MEMORY = 0.99
# How far one guess moves a request's own odds, and how much of them remains.
_STEP = 0.35
_LEAN = 0.98
_SUREST = 0.99


class Experience:
    """How often the guesses of a drafter were right, by level of evidence.

    A discounted mean for each level, over all requests.

    Args:
        priors: Rates to begin with.
    """

    def __init__(self, priors: Sequence[float]) -> None:
        self._trials = [_PRIOR_WEIGHT] * len(priors)
        self._hits = [_PRIOR_WEIGHT * rate for rate in priors]
        self._mean = sum(priors) / len(priors)

    @property
    def mean(self) -> float:
        """Share of right guesses lately, whatever spoke for them."""
        return self._mean

    def rate(self, level: int) -> float:
        """Share of right guesses lately."""
        return self._hits[level] / self._trials[level]

    def note(self, level: int, right: bool) -> None:
        """Learn from a guess that was checked."""
        self._trials[level] = self._trials[level] * _MEMORY + 1
        self._hits[level] = self._hits[level] * _MEMORY + right
        self._mean += (1 - _MEMORY) * (right - self._mean)


class AcceptanceEstimator:
    """The chance that a guess for one request is right.

    Some texts are easier to guess than others, at all levels of evidence: the request has odds of
    its own by which those of experience are multiplied, learned by logistic regression with this
    one unknown.

    Args:
        experience: Of the drafter.
    """

    def __init__(self, experience: Experience) -> None:
        self._experience = experience
        self._lean, self._factor = 0.0, 1.0

    def chance(self, level: int) -> float:
        """That a guess with this evidence is right, given that those before it were."""
        return self._leaning(self._experience.rate(level))

    def outlook(self) -> float:
        """That a guess is right whose evidence is not known yet."""
        return self._leaning(self._experience.mean)

    def note(self, level: int, right: bool) -> None:
        """Learn from a guess that was checked."""
        self._lean = self._lean * _LEAN + _STEP * (right - self.chance(level))
        self._factor = math.exp(self._lean)
        self._experience.note(level, right)

    def _leaning(self, rate: float) -> float:
        rate = min(max(rate, 1 - _SUREST), _SUREST)
        odds = self._factor * rate / (1 - rate)
        return min(odds / (1 + odds), _SUREST)
