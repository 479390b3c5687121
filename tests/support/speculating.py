"""Speculation simulated: a controller, a target that costs what a curve says, and guesses."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from nanoaccel.runtime.execution.scaled_curve import ScaledCurve
from nanoaccel.runtime.speculation.acceptance import AcceptanceEstimator, AcceptanceHistory
from nanoaccel.runtime.speculation.controller import Controller
from nanoaccel.runtime.speculation.steps import StepShape

Curve = Callable[[int], float]
# Whether the guess at a position of a draft is right, for the n-th token of a text; the last
# argument says whether it is checked in this step.
Truth = Callable[[int, int, bool], bool]

_LONGEST = 16


def independent(rate: float, seed: int = 1) -> Truth:
    """Each guess is right with the same chance."""
    source = random.Random(seed)
    return lambda *_: source.random() < rate


def decaying(seed: int = 2) -> Truth:
    """The farther ahead, the less often right."""
    source = random.Random(seed)
    return lambda _token, position, _checked: source.random() < 0.85 * 0.8**position


def switching(every: int, seed: int = 3) -> Truth:
    """Good and bad stretches."""
    source = random.Random(seed)
    return lambda token, *_: source.random() < (0.9 if token // every % 2 == 0 else 0.05)


def teasing(seed: int = 4) -> Truth:
    """Good for 40 tokens, then nothing for 200."""
    source = random.Random(seed)
    return lambda token, *_: token % 240 < 40 and source.random() < 0.95


def flat(tokens: int) -> float:
    """Milliseconds of a pass on a CPU with VNNI: eight tokens take twice as long as one."""
    return 7.6 + 1.1 * tokens


def steep(tokens: int) -> float:
    """One without: compute soon counts for more than reading the weights."""
    return 13.0 + 3.0 * tokens


def blocked(tokens: int) -> float:
    """NanoAccel's operators: four rows cost hardly more than one, and a block has eight."""
    return 2.6 + 0.06 * min(tokens, 4) + 0.24 * max(0, tokens - 4) + 0.25 * ((tokens - 1) // 8)


@dataclass
class Outcome:
    """Milliseconds in all, those of plain decoding, and the steps."""

    unit: float
    spent: float = 0.0
    plain: float = 0.0
    steps: int = 0
    counts: list[int] = field(default_factory=list)

    @property
    def speedup(self) -> float:
        return self.plain / self.spent

    @property
    def overrun(self) -> float:
        """Plain steps lost beyond the allowance of 2 %."""
        return (self.spent - 1.02 * self.plain) / self.unit


class Simulation:
    """Requests one batch after the other, through one controller.

    Args:
        curve: What a pass takes, milliseconds.
        truth: Which guesses are right.
        batch: Requests at once.
        tokens: Tokens of each.
        rounds: Batches.
        wrong_by: What calibration measured is this many times the truth.
        noise: Makes each pass longer by a factor drawn from it.
        seed: Of all randomness.
    """

    def __init__(
        self,
        curve: Curve,
        truth: Truth,
        *,
        batch: int = 1,
        tokens: int = 400,
        rounds: int = 1,
        wrong_by: Callable[[int], float] = lambda _: 1.0,
        noise: Callable[[random.Random], float] = lambda _: 1.0,
        seed: int = 0,
    ) -> None:
        self._curve, self._truth = curve, truth
        self._batch, self._tokens, self._rounds = batch, tokens, rounds
        self._noise, self._random = noise, random.Random(seed)
        cost = ScaledCurve()
        cost.restore({size: curve(size) * wrong_by(size) for size in (1, 2, 4, 8, 9, 16, 24)})
        self.controller = Controller(cost)
        self._history = AcceptanceHistory([0.6] * _LONGEST)
        self._outcome = Outcome(curve(1))

    def run(self) -> Outcome:
        for _ in range(self._rounds):
            done = [0] * self._batch
            estimators = [AcceptanceEstimator(self._history) for _ in done]
            while any(count < self._tokens for count in done):
                self._step(done, estimators)
        return self._outcome

    def _step(self, done: list[int], estimators: list[AcceptanceEstimator]) -> None:
        live = [place for place, count in enumerate(done) if count < self._tokens]
        cumulatives = [self._cumulative(estimators[p], self._tokens - done[p] - 1) for p in live]
        shape = StepShape(len(live), len(live))
        counts = self.controller.choose(cumulatives, shape, 128)
        given = 0
        for place, count, cumulative in zip(live, counts, cumulatives, strict=True):
            given += (
                accepted := self._check(done[place], count, len(cumulative), estimators[place])
            )
            done[place] += accepted
        guesses = sum(counts)
        seconds = self._curve(len(live) + guesses) * self._noise(self._random)
        self.controller.settle(shape, guesses, given, seconds)
        self._outcome.spent += seconds
        self._outcome.plain += given * self._curve(len(live)) / len(live)
        self._outcome.steps += 1
        self._outcome.counts.append(guesses)

    def _cumulative(self, estimator: AcceptanceEstimator, limit: int) -> list[float]:
        found: list[float] = []
        chance = 1.0
        for position in range(min(_LONGEST, limit)):
            chance *= estimator.chance(position)
            if chance < 0.02:
                break
            found.append(chance)
        return found

    def _check(self, token: int, count: int, known: int, estimator: AcceptanceEstimator) -> int:
        """Tokens given: those guesses that are right, and one more."""
        given = 1
        for position in range(known):
            if position > count:
                break
            right = self._truth(token, position, position < count)
            estimator.note(position, right)
            if not right or position == count:
                break
            given += 1
        return given
