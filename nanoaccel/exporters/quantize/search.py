"""Tries recipes on one model within a time, and keeps the best; results are cached."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nanoaccel.cached_json import file_of, load_or_none, store_json
from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.errors import ConfigError, ExportError
from nanoaccel.exporters.quantize.budget import Budget
from nanoaccel.exporters.quantize.limits import keeps
from nanoaccel.exporters.quantize.recipe import PRESETS, Recipe
from nanoaccel.exporters.quantize.trial_builder import Make, Trial
from nanoaccel.exporters.targets.openvino.runner import decode_rate

# What methods take, where rounding and judging take 4.
_ROUNDING = 4.0
_EFFORT = {"awq": 1.0, "scale-estimation": 5.0, "gptq": 30.0, "lora-correction": 8.0}
_OTHER_EFFORT = 5.0
# Without a limit of size, that of the preset "accurate": more bits are always more accurate.
_BITS = PRESETS["accurate"].target_bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A recipe and its result: a line of the report.

    Args:
        name: In a few words.
        size: Bytes of the weights file.
        fidelity: To the original.
        seconds: Seconds that making and judging it took.
        tokens_per_second: Tokens per second of a single request on this machine.
    """

    name: str
    size: int
    fidelity: Fidelity
    seconds: float
    tokens_per_second: float

    @classmethod
    def of(cls, recipe: Recipe, trial: Trial) -> Tried:
        """The line of a new graph; its decoding speed is measured."""
        return cls(
            name=recipe.describe(),
            size=trial.graph.bytes,
            fidelity=trial.fidelity,
            seconds=trial.seconds,
            tokens_per_second=decode_rate(trial.graph.path),
        )


@dataclass(frozen=True, slots=True)
class Found:
    """The end of a search.

    Args:
        recipe: The best.
        trial: Its trial; None when it was made in an earlier run.
        tried: All, in the order of their sizes.
        left_out: Recipes for which there was no time.
    """

    recipe: Recipe
    trial: Trial | None
    tried: Sequence[Tried]
    left_out: Sequence[str]


def candidates(asked: Recipe, budget: Budget) -> list[Recipe]:
    """Recipes to try, quick ones first: methods and layouts, then sizes between.

    Args:
        asked: Its limits hold for all; as it is otherwise, it is tried too.
        budget: Budget of the model.
    """
    plain = replace(PRESETS["fast"], group_size=asked.group_size)
    unlimited = asked.target_bits is None and asked.target_size is None
    bits = _BITS if unlimited else asked.target_bits
    size = asked.target_size
    tuned = PRESETS["balanced"]
    best = PRESETS["accurate"]
    recipes = [
        plain,
        replace(asked, max_kl=None, min_agreement=None),
        tuned,
        replace(best, target_bits=bits, target_size=size),
        replace(tuned, target_bits=bits, target_size=size),
        replace(plain, methods=tuned.methods),
        PRESETS["smallest"],
        replace(best, target_bits=None),
    ]
    smallest = budget.range(tuned)[0]
    if asked.limited:
        recipes += [tuned.with_target(int(smallest * factor)) for factor in (1.08, 1.2)]
        recipes += [best.with_target(int(smallest * factor)) for factor in (1.08, 1.2)]
    return list(dict.fromkeys(recipes))


def search(
    make: Make,
    asked: Recipe,
    budget: Budget,
    folder: Path,
    memory: Path,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """Try recipes within a time.

    Args:
        make: Function that makes and judges a graph in a folder.
        asked: Limits that the best must keep.
        budget: Budget of the model.
        folder: Where graphs go while they are tried.
        memory: Where results are kept, so that a search that was stopped goes on.
        seconds: For all trials; one that would not end in time is left out.
        clock: Function that gives the time in seconds.

    Raises:
        ExportError: No recipe that was tried keeps the limits.
    """
    begin = clock()
    tried: dict[Recipe, Tried] = {}
    best: tuple[Recipe, Trial | None] | None = None
    left_out = []
    effort = _Effort()
    for recipe in candidates(asked, budget):
        file = _file(memory, recipe)
        known = load_or_none(file, _tried)
        trial = None
        if known is None:
            if clock() - begin + effort.expected(recipe) > seconds and tried:
                left_out.append(recipe.describe())
                continue
            try:
                trial = make(recipe, folder / f"trial-{len(tried)}")
            except ConfigError:  # its budget is impossible, or its groups do not fit
                continue
            effort.note(recipe, trial.seconds)
            known = Tried.of(recipe, trial)
            store_json(file, asdict(known))
        tried[recipe] = known
        if best is None or _rank(known, asked, budget) < _rank(tried[best[0]], asked, budget):
            worse = None if best is None else best[1]
            best = recipe, trial
        else:
            worse = trial
        if worse is not None:
            worse.discard()
    assert best is not None, "the first recipe is always tried"
    if not _allowed(tried[best[0]], asked, budget):
        raise _none_keeps(asked, list(tried.values()))
    lines = sorted(tried.values(), key=lambda line: line.size)
    return Found(best[0], best[1], lines, left_out)


def _rank(tried: Tried, asked: Recipe, budget: Budget) -> tuple[bool, float]:
    """Sort key, best first: within the limits, then smallest if limited, else most faithful."""
    return (
        not _allowed(tried, asked, budget),
        float(tried.size) if asked.limited else tried.fidelity.kl,
    )


def _allowed(tried: Tried, asked: Recipe, budget: Budget) -> bool:
    most = asked.target_size
    if most is None:
        bits = _BITS if asked.target_bits is None else asked.target_bits
        assert bits is not None, "the preset has a limit"
        most = int(bits * budget.parameters / 8 * 1.01) if not asked.limited else tried.size
    return tried.size <= most and keeps(tried.fidelity, asked)


class _Effort:
    """Expected seconds of a trial, learned from the trials before."""

    def __init__(self) -> None:
        self._unit = 0.0

    def note(self, recipe: Recipe, seconds: float) -> None:
        self._unit = seconds / self._weight(recipe)

    def expected(self, recipe: Recipe) -> float:
        return self._unit * self._weight(recipe)

    def _weight(self, recipe: Recipe) -> float:
        return _ROUNDING + sum(_EFFORT.get(method, _OTHER_EFFORT) for method in recipe.methods)


def _file(memory: Path, recipe: Recipe) -> Path:
    return file_of(memory, json.dumps(asdict(recipe), sort_keys=True))


def _tried(found: Any) -> Tried:
    return Tried(**{**found, "fidelity": Fidelity(**found["fidelity"])})


def _none_keeps(asked: Recipe, tried: Sequence[Tried]) -> ExportError:
    closest = min(tried, key=lambda line: line.fidelity.kl)
    return ExportError(
        f"none of {len(tried)} recipes keeps the limits of {asked.describe()}: the closest, "
        f"{closest.name}, has KL {closest.fidelity.kl:.4f} at {closest.size / 1e6:.1f} MB",
        "Allow more, or more time (--time-budget)",
    )
