"""Measures how long passes take on this machine, and stores it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from nanoaccel.cached_json import file_of, load_or_none, store_json
from nanoaccel.runtime.backends import Backend
from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.execution.pass_time import PassTimeModel
from nanoaccel.runtime.kv import make_cache
from nanoaccel.runtime.types.packing import even_plan
from nanoaccel.runtime.types.plan import StepPlan

_FOLDER = "pass-times"
# Passes over a token of each of so many sequences, behind as many tokens as a piece of a prompt
# has, and over that piece.
_COUNTS = (1, 2, 4, 8, 16)
_CHUNK = 128
_PROMPT = -1
_DECODE_SECONDS = 3.0
# Passes over so many tokens that all have logits, behind a text of usual length. NanoAccel's
# operators multiply by blocks of eight rows, so a ninth costs more than an eighth.
_SIZES = (1, 2, 4, 8, 9, 16, 24)
_PAST = 256
_VERIFY_SECONDS = 1.0
# A pass of another size than the one before may have to prepare itself, so each is run some times
# in a row, in some rounds, of which none begins after the time is up.
_ROUNDS = 4
_DECODE_REPEATS = 2
_VERIFY_REPEATS = 3
_SAMPLE_REPEATS = 10
_SAMPLE_SECONDS = 0.06

K = TypeVar("K", bound=Hashable)


def load_decoding(keys: Sequence[str], folder: Path) -> list[PassTimeModel] | None:
    """The stored times of decoding, for all of some graphs; None when one is not stored.

    Args:
        keys: As ``pass_time_key`` gives them.
        folder: Keeps small files.
    """
    found = [load_or_none(_file(folder, key), _decoding) for key in keys]
    known = [times for times in found if times is not None]
    return known if len(known) == len(keys) else None


def measure_decoding(
    models: Sequence[LoadedModel], folder: Path, *, feature_size: int = 0
) -> list[LoadedModel]:
    """Measure decoding and prompts in some graphs in turns, so that other load meets them alike.

    Args:
        models: Graphs whose caches have nothing in them.
        folder: Keeps a small file for each; one that cannot be written is no error.
        feature_size: Numbers that a head reads for each token.

    Returns:
        The graphs with their times.
    """
    benches = [DecodeBench(model, feature_size=feature_size) for model in models]
    _run_rounds([bench.passes for bench in benches], _DECODE_REPEATS, _DECODE_SECONDS)
    timed = []
    for model, bench in zip(models, benches, strict=True):
        times = bench.times()
        _add(folder, model.key, {"decode": dict(times.decode), "prompt_token": times.prompt_token})
        timed.append(replace(model, times=times))
    return timed


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
        _run_rounds([bench], _VERIFY_REPEATS, _VERIFY_SECONDS)
        points = bench.least
        _add(folder, model.key, {"verify": points})
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


class DecodeBench:
    """Times decoding and prompts of one graph.

    Args:
        model: The graph; its cache has nothing in it.
        counts: Sequences with one token each, rising: a pass for each count, and one over a piece
            of a prompt.
        feature_size: Numbers that a head reads for each token.
        clock: Gives the time in seconds.

    Attributes:
        passes: What is timed.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        counts: Sequence[int] = _COUNTS,
        feature_size: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        cache = make_cache(model.shape, model.backend, sharing=False)
        chunk = min(_CHUNK, model.shape.first_tokens - 1)
        blocks: list[list[int]] = []
        for sequence in range(counts[-1]):
            if not cache.allocate(sequence, chunk + 1):
                break
            out = np.empty(cache.num_blocks, np.int32)
            blocks.append(out[: cache.block_ids(sequence, chunk + 1, out)].tolist())
        plans = {
            count: even_plan(blocks[:count], chunk, 1, feature_size=feature_size)
            for count in counts
            if count <= len(blocks)
        }
        plans[_PROMPT] = even_plan(blocks[:1], 0, chunk, feature_size=feature_size)
        self.passes = PassBench(model.backend, plans, clock)
        self._chunk, self._clock = chunk, clock

    def run(self) -> None:
        """Run each pass some times."""
        self.passes.run(_DECODE_REPEATS)

    def sample(self) -> PassTimeModel:
        """The times now, whatever was found before: short passes are run most often."""
        self.passes.least = dict.fromkeys(self.passes.plans, math.inf)
        for name in self.passes.plans:
            end = self._clock() + _SAMPLE_SECONDS
            for turn in range(_SAMPLE_REPEATS):
                # The first pass of another size may have to prepare itself.
                if turn >= _DECODE_REPEATS - (name == _PROMPT) and self._clock() > end:
                    break
                self.passes.time(name)
        return self.times()

    def times(self) -> PassTimeModel:
        """What was found."""
        decode = {count: least for count, least in self.passes.least.items() if count != _PROMPT}
        return PassTimeModel(decode=decode, prompt_token=self.passes.least[_PROMPT] / self._chunk)


def _run_rounds(benches: Sequence[PassBench[int]], repeats: int, seconds: float) -> None:
    end = time.perf_counter() + seconds
    for _ in range(_ROUNDS):
        for bench in benches:
            bench.run(repeats)
        if time.perf_counter() > end:
            break


def _file(folder: Path, key: str) -> Path:
    return file_of(folder / _FOLDER, key)


def _add(folder: Path, key: str, content: dict[str, Any]) -> None:
    """Store what was measured, beside what is stored of the same graph."""
    known = load_or_none(_file(folder, key), dict)
    store_json(_file(folder, key), {**({} if known is None else known), **content})


def _decoding(found: Any) -> PassTimeModel:
    points = _points(found["decode"])
    prompt_token = float(found["prompt_token"])
    if 1 not in points or not _sound(prompt_token):
        raise ValueError("a value is out of range")
    return PassTimeModel(decode=points, prompt_token=prompt_token)


def _verify(sizes: Sequence[int], found: Any) -> dict[int, float]:
    points = _points(found["verify"])
    if not set(sizes) <= set(points) <= set(_SIZES):
        raise ValueError("a size is missing or unknown")
    return points


def _points(found: Any) -> dict[int, float]:
    points = {int(size): float(seconds) for size, seconds in found.items()}
    if not all(map(_sound, points.values())):
        raise ValueError("a value is out of range")
    return points


def _sound(seconds: float) -> bool:
    return 0 < seconds < 1e6
