"""Measures what passes cost in each graph of a bundle, and remembers it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanoaccel.cached_json import file_of, load_or_none, store_json
from nanoaccel.runtime.backends import Backend
from nanoaccel.runtime.execution.selector import Prices
from nanoaccel.runtime.kv import CacheShape, make_cache
from nanoaccel.runtime.types.plan import StepPlan

# Passes over a token of each of so many sequences, behind as many tokens as a piece of a prompt
# has, and over that piece.
_COUNTS = (1, 2, 4, 8, 16)
_CHUNK = 128
_PROMPT = -1
_ROUNDS = 4
_REPEATS = 2
_SAMPLE_REPEATS = 10
_SAMPLE_SECONDS = 0.06
_MAX_SECONDS = 3.0


def recall_prices(keys: Sequence[str], folder: Path) -> list[Prices] | None:
    """What was measured before, for all of some graphs; None when one is unknown.

    Args:
        keys: Name each graph and all that its speed depends on.
        folder: Where small files are kept.
    """
    found = [load_or_none(_file(folder, key), _prices) for key in keys]
    known = [prices for prices in found if prices is not None]
    return known if len(known) == len(keys) else None


def measure_prices(
    graphs: Mapping[str, tuple[Backend, CacheShape]], folder: Path, *, feature_size: int = 0
) -> list[Prices]:
    """Measure some graphs in turns, so that what else runs here meets them alike.

    Args:
        graphs: By key: the graph, whose cache is allocated and has nothing in it, and its shape.
        folder: Keeps a small file for each; one that cannot be written is no error.
        feature_size: Numbers that a head reads for each token.
    """
    benches = [
        PassBench(backend, shape, feature_size=feature_size) for backend, shape in graphs.values()
    ]
    end = time.perf_counter() + _MAX_SECONDS
    for _ in range(_ROUNDS):
        for bench in benches:
            bench.run()
        if time.perf_counter() > end:
            break
    prices = [bench.prices() for bench in benches]
    for key, measured in zip(graphs, prices, strict=True):
        store_json(_file(folder, key), {"rows": dict(measured.rows), "chunk": measured.chunk})
    return prices


class PassBench:
    """The passes of one graph, and the least seconds of each.

    Args:
        backend: Runs the graph; its cache is allocated and has nothing in it.
        shape: Of the cache.
        counts: Sequences with one token each, rising: a pass for each count, and one over a piece
            of a prompt.
        feature_size: Numbers that a head reads for each token.
    """

    def __init__(
        self,
        backend: Backend,
        shape: CacheShape,
        *,
        counts: Sequence[int] = _COUNTS,
        feature_size: int = 0,
    ) -> None:
        self._backend = backend
        cache = make_cache(shape, backend, sharing=False)
        self._chunk = min(_CHUNK, shape.first_tokens - 1)
        blocks: list[list[int]] = []
        for sequence in range(counts[-1]):
            if not cache.allocate(sequence, self._chunk + 1):
                break
            out = np.empty(cache.num_blocks, np.int32)
            blocks.append(out[: cache.block_ids(sequence, self._chunk + 1, out)].tolist())
        self._plans = {
            count: StepPlan.even(blocks[:count], self._chunk, 1, feature_size=feature_size)
            for count in counts
            if count <= len(blocks)
        }
        self._plans[_PROMPT] = StepPlan.even(blocks[:1], 0, self._chunk, feature_size=feature_size)
        self._least = dict.fromkeys(self._plans, math.inf)

    def sample(self) -> Prices:
        """What they cost now, whatever was found before: short passes are run most often."""
        self._least = dict.fromkeys(self._plans, math.inf)
        for name in self._plans:
            end = time.perf_counter() + _SAMPLE_SECONDS
            for turn in range(_SAMPLE_REPEATS):
                # The first pass of another size may have to prepare itself.
                if turn >= _REPEATS - (name == _PROMPT) and time.perf_counter() > end:
                    break
                self._time(name)
        return self.prices()

    def run(self) -> None:
        """Run each pass some times."""
        for name in self._plans:
            for _ in range(_REPEATS):
                self._time(name)

    def _time(self, name: int) -> None:
        begun = time.perf_counter()
        self._backend.forward(self._plans[name])
        self._least[name] = min(self._least[name], time.perf_counter() - begun)

    def prices(self) -> Prices:
        """What was found."""
        rows = {count: least for count, least in self._least.items() if count != _PROMPT}
        return Prices(rows, self._least[_PROMPT] / self._chunk)


def _file(folder: Path, key: str) -> Path:
    return file_of(folder / "prices", key)


def _prices(found: Any) -> Prices:
    rows = {int(count): float(seconds) for count, seconds in found["rows"].items()}
    prices = Prices(rows, float(found["chunk"]))
    if 1 not in rows or not all(0 < seconds < 1e6 for seconds in (*rows.values(), prices.chunk)):
        raise ValueError("a value is out of range")
    return prices
