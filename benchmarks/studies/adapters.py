"""What adapters cost in passes: none, one, and one of its own for each sequence.

    python -m benchmarks.studies.adapters BUNDLE [--runtime onnx] [--rank 16] [--rounds 20]

The adapters are random, of one rank, for all projections of decoder layers. Passes take turns in
each round, and the least time of each turn counts; the ratio is the speed with adapters to that of
the same backend without any in the pass. "unprepared" is a backend that takes no adapters. Then:
what loading one takes, and the memory of those that are loaded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from benchmarks.harness.figures import Quartiles, in_turn, table
from benchmarks.harness.machine import machine
from benchmarks.harness.passes import BLOCK, Case
from benchmarks.studies.passes import least_seconds
from nanoaccel.bundle import Bundle
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import Backend, BackendOptions
from nanoaccel.runtime.backends.base import AdapterHolder
from nanoaccel.runtime.types.low_rank import LowRankUpdate

PAST, SLOTS = 256, 8
CASES = (
    Case("1 of one sequence", 1, 1, PAST),
    Case("4 of one sequence", 1, 4, PAST),
    Case("8 sequences", 8, 1, PAST),
    Case("prompt of 512", 1, 512, 0),
)
UNPREPARED, NONE, ONE, OWN = "unprepared", "none", "one for all", "one each"


def random_adapter(
    modules: Mapping[str, tuple[int, int]], rank: int, seed: int
) -> dict[str, LowRankUpdate]:
    """An adapter of all modules of layers."""
    random = np.random.default_rng(seed)
    return {
        name: LowRankUpdate(
            random.uniform(-1, 1, (rank, inputs)).astype(np.float32) / np.float32(inputs**0.5),
            random.normal(0, 0.01, (outputs, rank)).astype(np.float32),
        )
        for name, (outputs, inputs) in modules.items()
        if "layers." in name or ".h." in name
    }


def passes(backend: Backend, case: Case, blocks: int) -> dict[str, Callable[[], object]]:
    """The pass with no adapter, one, and one for each sequence."""
    plan = case.plan(blocks, backend.info.vocab_size)
    slots = {NONE: None, ONE: np.zeros(case.sequences, np.int32)}
    if case.sequences > 1:
        slots[OWN] = np.arange(case.sequences, dtype=np.int32)
    plans = {name: replace(plan, adapters=rows) for name, rows in slots.items()}
    return {name: partial(backend.forward, plan) for name, plan in plans.items()}


def resident() -> float:
    """Memory of the process, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / 1e6


def opened(bundle: Bundle, runtime: str, *, adapters: bool) -> Backend:
    """A backend with a cache for all cases, every page of it written."""
    options = BackendOptions(
        graph=bundle.graph_for(runtime),
        adapters=adapters,
        weight_group_size=bundle.weight_group_size,
    )
    backend = cast(Backend, BACKENDS.resolve(runtime)(options))
    blocks = SLOTS * slot_blocks()
    backend.allocate_cache(blocks)
    written = np.zeros(backend.block_bytes, np.uint8)
    for block in range(blocks):
        backend.write_block(block, written)
    return backend


def slot_blocks() -> int:
    """Blocks of the longest text."""
    return -(-max(case.past + case.tokens for case in CASES) // BLOCK)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--runtime", default="onnx")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    bundle = Bundle.open(given.bundle)
    plain = opened(bundle, given.runtime, adapters=False)
    backend = opened(bundle, given.runtime, adapters=True)
    assert isinstance(backend, AdapterHolder), "the backend holds adapters"
    print(f"{machine()}; adapters of rank {given.rank}\n")
    adapters = [random_adapter(backend.adaptable, given.rank, seed) for seed in range(SLOTS)]
    before, seconds = resident(), []
    for slot, adapter in enumerate(adapters):
        begun = time.perf_counter()
        backend.load_adapter(slot, adapter)
        seconds.append(time.perf_counter() - begun)
    loaded = resident()
    rows = []
    for case in CASES:
        runs = {UNPREPARED: passes(plain, case, slot_blocks())[NONE]}
        runs |= passes(backend, case, slot_blocks())
        found: dict[str, list[float]] = {name: [] for name in runs}
        for turn in range(given.rounds if not case.is_prompt else min(given.rounds, 4)):
            for name in in_turn(tuple(runs), turn):
                found[name].append(least_seconds(runs[name]))
        for name, times in found.items():
            ratios = [none / own for none, own in zip(found[NONE], times, strict=True)]
            cells = [case.name, name, f"{min(times) * 1e3:.2f}", Quartiles.of(ratios).show(2)]
            rows.append(cells)
    print(table(["pass", "adapters", "ms", "speed"], rows))
    after = resident()
    for slot in range(SLOTS):
        backend.unload_adapter(slot)
    numbers = sum(one.down.size + one.up.size for one in adapters[0].values())
    print(
        f"\n{numbers / 1e6:.1f} million numbers each: loaded in {Quartiles.of(seconds).show(3)} s, "
        f"{(loaded - before) / SLOTS:.1f} MB each, {after - resident():.0f} MB freed"
    )


if __name__ == "__main__":
    main()
