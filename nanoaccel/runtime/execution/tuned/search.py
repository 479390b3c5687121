"""Finds a faster setting by measuring in turns: pure, given something that measures.

Coordinate by coordinate, the best setting so far races against its neighbors. A round measures
all of them one after the other, so that whatever else runs on the machine meets them alike, and
only ratios within a round count. A setting replaces another one when the median of its ratios is
surely above a threshold: by the sign test, which asks nothing of how noise is distributed. What is
left at the end must beat the defaults once more in rounds of their own: of many that race, one
always looks better than it is.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.execution.tuned.setting import Setting

# A median surely above this is a gain, one surely below its inverse a loss.
LEAST_GAIN = 1.02
# How often a median that is below its bound is taken for one above. The rounds against the defaults
# are asked the same, so for a setting that is taken it is this twice.
_MISTAKES = 0.1
_ROUNDS = 31
_LEAST_ROUNDS = 5
# After so many rounds, the slower half of the challengers leaves.
_HALVING = 5
# Of the time, for the rounds against the defaults.
_CONFIRMING = 0.25


class Bench(Protocol):
    """Measures settings."""

    def measure(self, setting: Setting) -> Sequence[float]:
        """Seconds of each kind of work that shall become faster; all kinds count alike.

        Loads what it needs, and keeps it.

        Raises:
            ConfigError: The setting cannot be had here.
        """

    def release(self, setting: Setting) -> None:
        """Let go of what was loaded for a setting; it may be measured again."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One coordinate.

    Args:
        name: In words.
        changes: To try, each with the fields of ``Setting`` that it sets.
    """

    name: str
    changes: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, field: str, values: Sequence[Any]) -> Axis:
        """Over values of one field."""
        return cls(field.replace("_", " "), tuple({field: value} for value in values))


@dataclass(frozen=True, slots=True)
class Trial:
    """What a setting was measured to do.

    Args:
        setting: The one.
        ratios: How many times as fast as the defaults, round by round: the geometric mean of all
            kinds of work.
        kinds: The median for each kind of work.
        problem: Why it cannot be had here; None when it can.
    """

    setting: Setting
    ratios: tuple[float, ...]
    kinds: tuple[float, ...] = ()
    problem: str | None = None

    @property
    def median(self) -> float:
        """The middle ratio."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """Lower and upper quartile."""
        return _quartile(self.ratios), -_quartile([-ratio for ratio in self.ratios])


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search came to.

    Args:
        setting: The fastest that is sure to be faster than the defaults; or the defaults.
        gain: By how many times, in the rounds that decided; 1 for the defaults.
        kinds: The same for each kind of work.
        trials: All that was measured in rounds, as it was measured.
        finished: Whether the time was enough to try everything.
    """

    setting: Setting
    gain: float
    kinds: tuple[float, ...]
    trials: tuple[Trial, ...]
    finished: bool


def search(
    bench: Bench,
    default: Setting,
    axes: Sequence[Axis],
    *,
    seconds: float,
    clock: Callable[[], float],
    tell: Callable[[str], None],
) -> SearchResult:
    """Look for a setting that is faster than the default.

    What is found stays loaded in ``bench``, and the default; all else is released.

    Args:
        bench: Measures.
        default: Where to begin.
        axes: What to vary, one after the other.
        seconds: How long it may take; a measurement that has begun is finished.
        clock: Seconds that pass.
        tell: Called with what is done.

    Raises:
        ConfigError: The default itself cannot be had.
    """
    return _Search(bench, default, seconds, clock, tell).run(axes)


def median_bound(values: Sequence[float]) -> float:
    """What the median that some values were drawn around is surely not below.

    The largest of them that would be above that median once in ten times only (the sign test);
    minus infinity where they are too few.
    """
    count, chance, bound = len(values), 0.0, -math.inf
    for index, value in enumerate(sorted(values)):
        chance += math.comb(count, index) / 2**count
        if chance > _MISTAKES:
            break
        bound = value
    return bound


def _quartile(values: Sequence[float]) -> float:
    """The lower one."""
    return sorted(values)[len(values) // 4]


_Rounds: TypeAlias = dict[Setting, list[Sequence[float]]]


class _Search:
    def __init__(
        self,
        bench: Bench,
        default: Setting,
        seconds: float,
        clock: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self._bench, self._default, self._clock, self._tell = bench, default, clock, tell
        self._end = clock() + seconds
        self._reserve = _CONFIRMING * seconds
        self._measured: list[float] = []
        self._loading = 0.0
        self._trials: list[Trial] = []
        self._finished = True

    def run(self, axes: Sequence[Axis]) -> SearchResult:
        self._warm_up(self._default)
        best = self._default
        counts = [len(axis.changes) for axis in axes]
        for index, axis in enumerate(axes):
            left = self._end - self._confirmation - self._clock()
            until = self._clock() + left * counts[index] / sum(counts[index:])
            best = self._race(axis, best, until)
        if best != self._default:
            trial = self._confirm(best)
            if trial is not None:
                trials = tuple(self._trials)
                return SearchResult(best, trial.median, trial.kinds, trials, self._finished)
            self._bench.release(best)
        return SearchResult(self._default, 1.0, (), tuple(self._trials), self._finished)

    @property
    def _confirmation(self) -> float:
        """Seconds to keep for the rounds against the defaults."""
        return max(self._reserve, 2 * _LEAST_ROUNDS * self._typical)

    @property
    def _typical(self) -> float:
        """Seconds of a measurement."""
        return statistics.median(self._measured) if self._measured else 0.0

    def _race(self, axis: Axis, best: Setting, until: float) -> Setting:
        """The best so far, or what is surely faster along an axis."""
        challengers = self._admit(axis, best, until)
        if not challengers:
            return best
        runs = list(dict.fromkeys([self._default, best, *challengers]))
        seconds: _Rounds = {run: [] for run in runs}
        live = list(challengers)
        for turn in range(_ROUNDS):
            if not live or self._clock() >= until:
                self._finished &= not live
                break
            self._tell(f"{axis.name}: round {turn + 1} of {_ROUNDS}")
            order = [run for run in runs if run in live or run in (self._default, best)]
            for run in order if turn % 2 == 0 else reversed(order):
                seconds[run].append(self._measure(run))
            if turn + 1 >= _HALVING:
                live = _still_promising(live, seconds, best, halve=turn + 1 == _HALVING)
        for run in challengers:
            if seconds[run]:
                self._trials.append(_trial(seconds, self._default, run))
        winner = _winner(live, seconds, best)
        for run in runs:
            if run not in (winner, self._default):
                self._bench.release(run)
        return winner

    def _admit(self, axis: Axis, best: Setting, until: float) -> list[Setting]:
        """Load and warm up what differs from the best along an axis, as far as time allows."""
        admitted: list[Setting] = []
        for change in axis.changes:
            candidate = replace(best, **change)
            if candidate == best:
                continue
            # A load that leaves no time for the rounds would be in vain.
            racing = 2 + len(admitted) + (best != self._default)
            rounds = _LEAST_ROUNDS * racing * self._typical
            if self._clock() + self._loading + rounds > until:
                self._finished = False
                break
            self._tell(f"trying {candidate}")
            try:
                self._warm_up(candidate)
            except ConfigError as error:
                self._trials.append(Trial(candidate, (), problem=error.problem))
                continue
            admitted.append(candidate)
        return admitted

    def _confirm(self, best: Setting) -> Trial | None:
        """Rounds of the best and the defaults alone; None when they are not sure of a gain."""
        seconds: _Rounds = {self._default: [], best: []}
        for turn in range(_ROUNDS):
            if turn >= _LEAST_ROUNDS and self._clock() >= self._end:
                break
            self._tell(f"{best} against the defaults: round {turn + 1} of {_ROUNDS}")
            for run in seconds if turn % 2 == 0 else reversed(seconds):
                seconds[run].append(self._measure(run))
        trial = _trial(seconds, self._default, best)
        self._trials.append(trial)
        return trial if _is_gain(seconds, self._default, best) else None

    def _measure(self, setting: Setting) -> Sequence[float]:
        begun = self._clock()
        seconds = self._bench.measure(setting)
        self._measured.append(self._clock() - begun)
        assert all(0 < kind < math.inf for kind in seconds), "a measurement takes time"
        return seconds

    def _warm_up(self, setting: Setting) -> None:
        """Load what a setting needs; its first passes prepare themselves, and do not count."""
        begun = self._clock()
        self._bench.measure(setting)
        measured = self._clock()
        self._measure(setting)
        self._loading = max(self._loading, measured - begun)


def _still_promising(
    live: Sequence[Setting], seconds: _Rounds, best: Setting, *, halve: bool
) -> list[Setting]:
    """Those that may still turn out faster; of many, the better half."""
    medians = {run: statistics.median(_ratios(seconds, best, run)) for run in live}
    kept = [run for run in live if medians[run] > 1]
    if halve and len(kept) > 1:
        kept = sorted(kept, key=medians.__getitem__, reverse=True)[: -(-len(live) // 2)]
    return kept


def _winner(live: Sequence[Setting], seconds: _Rounds, best: Setting) -> Setting:
    """The challenger with the best median of those that are surely faster; else the best so far."""
    sure = [
        run for run in live if len(seconds[run]) >= _LEAST_ROUNDS and _is_gain(seconds, best, run)
    ]
    return max(sure, key=lambda run: statistics.median(_ratios(seconds, best, run)), default=best)


def _is_gain(seconds: _Rounds, reference: Setting, run: Setting) -> bool:
    """Whether a setting is surely faster than another one, and surely slower at nothing."""
    loses = any(
        median_bound([-ratio for ratio in kind]) > -1 / LEAST_GAIN
        for kind in _by_kind(seconds, reference, run)
    )
    return not loses and median_bound(_ratios(seconds, reference, run)) > LEAST_GAIN


def _trial(seconds: _Rounds, default: Setting, run: Setting) -> Trial:
    kinds = tuple(statistics.median(kind) for kind in _by_kind(seconds, default, run))
    return Trial(run, _ratios(seconds, default, run), kinds)


def _ratios(seconds: _Rounds, reference: Setting, run: Setting) -> tuple[float, ...]:
    """How many times as fast as a reference, in the rounds that both were measured in."""
    by_kind = _by_kind(seconds, reference, run)
    return tuple(statistics.geometric_mean(kinds) for kinds in zip(*by_kind, strict=True))


def _by_kind(seconds: _Rounds, reference: Setting, run: Setting) -> list[list[float]]:
    """The ratios of each kind of work, round by round."""
    rounds = list(zip(seconds[reference], seconds[run], strict=False))
    kinds = len(rounds[0][0]) if rounds else 0
    return [[before[kind] / after[kind] for before, after in rounds] for kind in range(kinds)]
