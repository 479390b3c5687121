"""What whole passes take: NanoAccel's operators, stock ONNX Runtime, OpenVINO, llama.cpp.

    python -m benchmarks.studies.passes BUNDLE [--gguf Q4_0.gguf] [--against stock,openvino]
        [--rounds 20] [--past 256] [--long 6000] [--threads 2] [--cache u8]

All read the graphs of the bundle, llama.cpp its own file, and compute the same passes: tokens of
one sequence, of which all have logits, as where drafts are verified; one token of several
sequences; a prompt; a token behind a long text. They take turns in each round, and the least time
of each pass counts, as other programs only ever add to one. Brackets are quartiles of the ratios,
round by round. The last column is what a pass reads of weights and cache, over its time, as a share
of what the memory was measured to give.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast, get_args

import numpy as np

from benchmarks.harness.figures import Quartiles, in_turn, table
from benchmarks.harness.machine import machine
from benchmarks.harness.passes import BLOCK, Case, cases
from nanoaccel.bundle import Bundle, weights_size
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import Backend, BackendOptions, CachePrecision
from nanoaccel.runtime.backends.onnxruntime.embedding import looked_up_bytes
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.cpu.threads import core_count
from nanoaccel.runtime.native import find_operators
from nanoaccel.runtime.native.library import ISA, NONE
from nanoaccel.runtime.tools.profiling.machine_speed import read_bandwidth

OWN, STOCK, OPENVINO, LLAMA = "own", "stock", "openvino", "llama.cpp"
Pass = Callable[[], object]
_FEW = 4  # rounds of prompts
# An engine's first passes in a turn share the machine with threads that still spin for another.
_TURN_SECONDS, _LEAST_REPEATS = 0.05, 2


def backends(
    bundle: Bundle, names: Sequence[str], threads: int, cache: CachePrecision
) -> dict[str, Backend]:
    """One for each of our names that the bundle has a graph for; ``cache`` is our operators'."""
    found = {}
    for name in names:
        runtime = OPENVINO if name == OPENVINO else "onnx"
        if runtime not in bundle.runtimes:
            continue
        precision = cache if name == OWN else "auto"
        options = BackendOptions(
            graph=bundle.graph_for(runtime), threads=threads, cache_precision=precision
        )
        before = os.environ.get(ISA)
        if name == STOCK:
            os.environ[ISA] = NONE
        try:
            found[name] = cast(Backend, BACKENDS.resolve(runtime)(options))
        finally:
            os.environ.pop(ISA, None)
            if before is not None:
                os.environ[ISA] = before
    return found


def passes_of(backend: Backend, every: Sequence[Case]) -> list[Pass]:
    """The passes of a backend, whose cache is allocated here."""
    sequences = max(case.sequences for case in every)
    blocks = -(-max(case.past + case.tokens for case in every) // BLOCK)
    backend.allocate_cache(sequences * blocks)
    written = np.zeros(backend.block_bytes, np.uint8)
    for block in range(sequences * blocks):  # pages that nobody wrote to are all the same one
        backend.write_block(block, written)
    plans = [case.plan(blocks, backend.info.vocab_size) for case in every]
    return [lambda plan=plan: backend.forward(plan) for plan in plans]


def llama_passes(file: Path, every: Sequence[Case], threads: int) -> list[Pass]:
    """The same passes in llama.cpp."""
    from benchmarks.harness.adapters.llama_cpp import LlamaCpp

    engine = LlamaCpp(str(file), {"threads": threads})
    engine.prepare(max(case.sequences * (case.past + case.tokens) for case in every))
    filled: list[Case] = []

    def run(case: Case) -> None:
        if filled[-1:] != [case]:
            engine.fill(case.sequences, case.past)
            filled.append(case)
        pieces = case.token_ids(engine.vocabulary_size)
        engine.decode(pieces, case.past, every=not case.is_prompt)
        engine.cut(case.past)

    return [lambda case=case: run(case) for case in every]


def measure(
    engines: dict[str, list[Pass]], every: Sequence[Case], rounds: int
) -> dict[str, list[list[float]]]:
    """Seconds of each engine, by case and round."""
    found: dict[str, list[list[float]]] = {name: [[] for _ in every] for name in engines}
    for index, case in enumerate(every):
        turns = min(rounds, _FEW) if case.is_prompt else rounds
        for turn in range(turns):
            for name in in_turn(tuple(engines), turn):
                run = engines[name][index]
                found[name][index].append(least_seconds(run))
        print(f"{case.name}: measured", file=sys.stderr)
    return found


def least_seconds(run: Pass) -> float:
    """Of the passes of a turn."""
    begun, found = time.perf_counter(), list[float]()
    while len(found) < _LEAST_REPEATS or time.perf_counter() < begun + _TURN_SECONDS:
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def report(
    every: Sequence[Case], found: dict[str, list[list[float]]], read: Callable[[Case], float]
) -> str:
    """A row for each case; ``read`` gives the seconds that its bytes take at least."""
    others = [name for name in found if name != OWN]
    titles = ["pass", *(f"{name}, ms" for name in found), *(f"own / {name}" for name in others)]
    rows = []
    for index, case in enumerate(every):
        own = found[OWN][index]
        cells = [case.name, *(f"{min(times[index]) * 1e3:.2f}" for times in found.values())]
        for name in others:
            theirs = found[name][index]
            spread = Quartiles.of([a / b for a, b in zip(own, theirs, strict=True)])
            cells.append(f"{min(own) / min(theirs):.2f} ({spread.low:.2f}-{spread.high:.2f})")
        rows.append([*cells, f"{read(case) / min(own):.0%}"])
    return table([*titles, "of the memory's rate"], rows)


def shortest_read(bundle: Bundle, backend: Backend, bandwidth: float) -> Callable[[Case], float]:
    """Gives the seconds that reading the weights and the cache of a pass takes at least."""
    graph = bundle.graph_for("onnx")
    weights = weights_size(graph) - looked_up_bytes(graph)
    token = backend.info.bytes_per_block / backend.info.block_size

    def read(case: Case) -> float:
        return (weights + case.sequences * case.past * token) / bandwidth

    return read


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--gguf", type=Path, help="file for llama.cpp, of the same model")
    parser.add_argument("--against", default=f"{STOCK},{OPENVINO}", help="of what the bundle has")
    parser.add_argument("--threads", type=int, default=core_count())
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--past", type=int, default=256)
    parser.add_argument("--long", type=int, default=6000)
    parser.add_argument("--cache", choices=get_args(CachePrecision), default="auto")
    given = parser.parse_args()
    bundle, every = Bundle.open(given.bundle), cases(given.past, given.long)
    operators, pages = find_operators(), HugePages()
    if operators.library is None:
        raise SystemExit(operators.described())
    names = [OWN, *filter(None, given.against.split(","))]
    made = backends(bundle, names, given.threads, given.cache)
    engines = {name: passes_of(backend, every) for name, backend in made.items()}
    if given.gguf is not None:
        engines[LLAMA] = llama_passes(given.gguf, every, given.threads)
    for passes in engines.values():
        passes[0]()
    pages.gather()
    found = measure(engines, every, given.rounds)
    bandwidth = read_bandwidth(given.threads)
    print(f"{machine()}, {given.threads} threads, {operators.described()}, ", end="")
    print(f"{bandwidth / 1e9:.0f} GB/s\n")
    for name, backend in made.items():
        info = backend.info
        size = info.bytes_per_block / info.block_size
        print(f"{name}: {info.cache_precision}, {size / 1024:.1f} KB of cache a token")
    print("\n" + report(every, found, shortest_read(bundle, made[OWN], bandwidth)))


if __name__ == "__main__":
    main()
