"""Measures how long passes take on this machine, and stores it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from nanoaccel.cached_json import file_of, load_or_none, store_json
from nanoaccel.runtime.backends import Backend
from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.types.packing import even_plan
from nanoaccel.runtime.types.plan import StepPlan

_FOLDER = "pass-times"
# Passes over so many tokens that all have logits, behind a text of usual length. NanoAccel's
# operators multiply by blocks of eight rows, so a ninth costs more than an eighth.
_SIZES = (1, 2, 4, 8, 9, 16, 24)
_PAST = 256
_SECONDS = 1.0
# A pass of another size than the one before may have to prepare itself, so each is run some times
# in a row, in some rounds, of which none begins after the time is up.
_ROUNDS = 4
_REPEATS = 3

K = TypeVar("K", bound=Hashable)


def measure_verification(model: LoadedModel, folder: Path, *, again: bool = False) -> None:
    """Tell a model's times how long it takes to check draft tokens, as stored or as measured now.

    Args:
        model: A graph whose cache has nothing in it.
        folder: Keeps a small file; one that cannot be read or written is no error.
        again: Measure even what is stored.
    """
    room = model.shape.first_tokens
    sizes = [size for size in _SIZES if size <= room]
    points = None if again else load_or_none(_file(folder, model.key), partial(_verify, sizes))
    if points is None:
        backend = model.backend
        past = min(_PAST, room - sizes[-1])
        blocks = [range(-(-(past + sizes[-1]) // backend.info.block_size))]
        if past > 0:
            backend.forward(even_plan(blocks, 0, past))
        plans = {size: even_plan(blocks, past, size, all_rows=True) for size in sizes}
        bench = PassBench(backend, plans)
        end = time.perf_counter() + _SECONDS
        for _ in range(_ROUNDS):
            bench.run(_REPEATS)
            if time.perf_counter() > end:
                break
        points = bench.least
        store_json(_file(folder, model.key), {"verify": points})
    model.times.verify.restore(points)


def forward_seconds(
    backend: Backend, plans: Sequence[StepPlan], clock: Callable[[], float] = time.perf_counter
) -> float:
    """Seconds of some passes, one after the other."""
    begun = clock()
    for plan in plans:
        backend.forward(plan)
    return clock() - begun


class PassBench(Generic[K]):
    """Times passes of one graph. Other programs only ever add to a time, so the least one counts.

    Args:
        backend: Runs the graph.
        plans: The passes, by name.
        clock: Gives the time in seconds.

    Attributes:
        plans: As given.
        least: Seconds of each.
    """

    def __init__(
        self,
        backend: Backend,
        plans: Mapping[K, StepPlan],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._backend, self._clock = backend, clock
        self.plans = plans
        self.least: dict[K, float] = dict.fromkeys(plans, math.inf)

    def run(self, repeats: int) -> None:
        """Run each pass some times."""
        for name in self.plans:
            for _ in range(repeats):
                self.time(name)

    def time(self, name: K) -> None:
        """Run a pass once."""
        seconds = forward_seconds(self._backend, [self.plans[name]], self._clock)
        self.least[name] = min(self.least[name], seconds)


def _file(folder: Path, key: str) -> Path:
    return file_of(folder / _FOLDER, key)


def _verify(sizes: Sequence[int], found: Any) -> dict[int, float]:
    points = {int(size): float(seconds) for size, seconds in found["verify"].items()}
    if not all(0 < seconds < 1e6 for seconds in points.values()):
        raise ValueError("a value is out of range")
    if not set(sizes) <= set(points) <= set(_SIZES):
        raise ValueError("a size is missing or unknown")
    return points
