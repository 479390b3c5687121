"""What it brings to have the weights on large pages: passes of two loads of a graph, in turns.

    python -m benchmarks.studies.large_pages BUNDLE [--backend onnx] [--loads 4] [--rounds 12]

Where small pages lie differs from load to load, and with it what they cost, so graphs are loaded
anew several times. Needs Linux with large pages (``nanoaccel cpu``).
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from multiprocessing import get_context
from pathlib import Path

from benchmarks.harness.figures import Quartiles, in_turn
from benchmarks.harness.machine import machine
from nanoaccel import Bundle
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import Backend, BackendOptions
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.types.packing import even_plan

PAST = 256
PASSES = {"1 token": 1, "8 tokens": 8, "128 tokens": 128}
REPEATS = 3


def load(bundle: Bundle, name: str) -> Backend:
    """A graph that has run each pass, so that its weights are packed."""
    graph = bundle.graph_for(name)
    options = BackendOptions(graph=graph, weight_group_size=bundle.weight_group_size)
    backend: Backend = BACKENDS.resolve(name)(options)
    size = backend.info.block_size
    backend.allocate_cache(-(-(PAST + max(PASSES.values())) // size))
    for tokens in PASSES.values():
        seconds(backend, tokens)
    return backend


def seconds(backend: Backend, tokens: int) -> float:
    """The least of a pass."""
    size = backend.info.block_size
    plan = even_plan([list(range(-(-(PAST + tokens) // size)))], PAST, tokens)
    found = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        backend.forward(plan)
        found.append(time.perf_counter() - begun)
    return min(found)


def ratios(folder: Path, name: str, rounds: int) -> tuple[int, dict[str, list[float]]]:
    """Bytes on large pages, and small over large by pass, from one pair of loads."""
    bundle = Bundle.open(folder)
    with ExitStack() as stack:
        small = stack.enter_context(closing(load(bundle, name)))
        pages = HugePages()
        large = stack.enter_context(closing(load(bundle, name)))
        gathered = pages.gather()
        found: dict[str, list[float]] = {label: [] for label in PASSES}
        for turn in range(rounds):
            for label, tokens in PASSES.items():
                pair = {id(one): seconds(one, tokens) for one in in_turn((small, large), turn)}
                found[label].append(pair[id(small)] / pair[id(large)])
    return gathered, found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("bundle", type=Path)
    add("--backend", default="onnx")
    add("--loads", type=int, default=4)
    add("--rounds", type=int, default=12)
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {label: [] for label in PASSES}
    gathered = 0
    for _ in range(arguments.loads):
        # In a process of its own: what an earlier load gave back would be used again.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            asked = pool.submit(ratios, arguments.bundle, arguments.backend, arguments.rounds)
            gathered, latest = asked.result()
        for label, values in latest.items():
            found[label] += values
    print(f"{machine()}, {arguments.backend}, {gathered / 1e6:.0f} MB on large pages\n")
    for label, values in found.items():
        print(f"{label}: {Quartiles.of(values).show(2)} times as fast on large pages")


if __name__ == "__main__":
    main()
