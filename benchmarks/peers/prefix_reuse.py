"""Time to the first token of a long prompt: new, known to the process, known from the disk."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.engines import Engine
from benchmarks.harness.exports import Exports
from benchmarks.harness.figures import median_of, median_ratio, milliseconds, table
from benchmarks.harness.loads import closed_loop, random_tokens, single
from benchmarks.harness.worker import Worker

_PREFIX = 1500
_ENDING = 20


@dataclass(frozen=True, slots=True)
class Reuse:
    """Seconds to the first token, of prompts that begin the same.

    Args:
        cold: Nothing is known of it.
        warm: Another prompt with this beginning has been read before.
        restarted: In a new process, from the folder that the last one left; None where an engine
            has no such thing.
    """

    cold: float
    warm: float
    restarted: float | None


def measure(engines: Mapping[str, Engine], exports: Exports, rounds: int) -> dict[str, list[Reuse]]:
    """The engines in turn, with new prompts in each round."""
    found: dict[str, list[Reuse]] = {name: [] for name in engines}
    for number in range(rounds):
        for name, engine in engines.items():
            once = _genai if engine.adapter == "genai-serving" else _nanoaccel
            found[name].append(once(engine, exports, random.Random(number)))
    return found


def report(found: Mapping[str, list[Reuse]]) -> str:
    """A table: medians over the rounds, and median ratios to the cold run beside them."""
    header = ["engine", "cold ms", "warm ms", "restarted ms", "warm / cold", "restarted / cold"]
    return table(header, [[name, *_cells(runs)] for name, runs in found.items()])


def _cells(runs: list[Reuse]) -> list[str]:
    times = [milliseconds(median_of(runs, lambda r: r.cold))]
    times.append(milliseconds(median_of(runs, lambda r: r.warm)))
    ratios = [_ratio([r.warm for r in runs], runs)]
    restarted = [r.restarted for r in runs if r.restarted is not None]
    if not restarted:
        return [*times, "-", *ratios, "-"]
    times.append(milliseconds(median_of(restarted, float)))
    return [*times, *ratios, _ratio(restarted, runs)]


def _ratio(seconds: list[float], runs: list[Reuse]) -> str:
    return f"{median_ratio(seconds, [r.cold for r in runs], float):.1%}"


def _nanoaccel(engine: Engine, exports: Exports, source: random.Random) -> Reuse:
    prefix = random_tokens(source, _PREFIX)
    with tempfile.TemporaryDirectory() as cache:
        options = {"prompt_cache": cache, "prefix_cache": True}
        with _warm(engine, exports, options, source) as worker:
            cold, warm = (_first_token(worker, prefix, source) for _ in range(2))
        _drop_from_memory(Path(cache))
        with _warm(engine, exports, options, source) as worker:
            return Reuse(cold, warm, _first_token(worker, prefix, source))


def _genai(engine: Engine, exports: Exports, source: random.Random) -> Reuse:
    prefix = random_tokens(source, _PREFIX)
    with _warm(engine, exports, {"enable_prefix_caching": True}, source) as worker:
        cold, warm = (_first_token(worker, prefix, source) for _ in range(2))
    return Reuse(cold, warm, None)


def _warm(
    engine: Engine, exports: Exports, options: Mapping[str, object], source: random.Random
) -> Worker:
    """A process whose graph has run before, with prompts of no concern here."""
    worker = engine.start(exports, options)
    worker.play(closed_loop(1, 2, source.getrandbits(32)))
    return worker


def _first_token(worker: Worker, prefix: list[int], source: random.Random) -> float:
    ending = random_tokens(source, _ENDING)
    return worker.play(single(prefix + ending))[0].first_token


def _drop_from_memory(folder: Path) -> None:
    """Make the next read come from the disk, not from the system's page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
