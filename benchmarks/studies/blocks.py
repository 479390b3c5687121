"""Passes on ONNX Runtime: with NanoAccel's operators, with its products alone, and stock.

    python -m benchmarks.studies.blocks BUNDLE [--threads 2] [--rounds 20] [--past 256]
        [--long 6000]

One session for each: "blocks" has NanoAccel's products and attention, "slots" its products alone,
and ONNX Runtime's attention to copies in slots, "stock" none of its operators. They take turns in
each round, and the least time of each pass counts, as other programs only ever add to one. "cache"
is what a token takes in it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness.figures import in_turn
from benchmarks.harness.machine import machine
from nanoaccel.bundle import Bundle
from nanoaccel.runtime.backends import Backend, BackendOptions
from nanoaccel.runtime.backends.onnxruntime import load
from nanoaccel.runtime.backends.onnxruntime.backend import OnnxRuntimeBackend
from nanoaccel.runtime.backends.onnxruntime.operators import rewrite
from nanoaccel.runtime.backends.onnxruntime.session import open_session
from nanoaccel.runtime.backends.onnxruntime.signature import read_signature
from nanoaccel.runtime.cpu.threads import core_count, plan_here
from nanoaccel.runtime.cpu.workload import Workload
from nanoaccel.runtime.native import Operators, find_operators
from nanoaccel.runtime.types.packing import even_plan
from nanoaccel.runtime.types.plan import StepPlan

_LONG_PASS = 64  # tokens from which on a pass is repeated less often
_FEW = 4


@dataclass(frozen=True, slots=True)
class Case:
    """A pass: so many tokens of each of some sequences behind a past."""

    name: str
    sequences: int
    tokens: int
    past: int

    def plan(self, most_blocks: int, vocabulary: int) -> StepPlan:
        """The pass; of prompts only the last token's logits are wanted."""
        blocks = -(-(self.past + self.tokens) // 32)
        tables = [
            list(range(s * most_blocks, s * most_blocks + blocks)) for s in range(self.sequences)
        ]
        every = self.tokens < _LONG_PASS
        plan = even_plan(tables, self.past, self.tokens, all_rows=every)
        random = np.random.default_rng(0)
        plan.token_ids[:] = random.integers(0, vocabulary, len(plan.token_ids))
        return plan


def cases(past: int, long: int) -> list[Case]:
    """What is measured."""
    one = [Case(f"{n} of one sequence", 1, n, past) for n in (1, 2, 4, 8)]
    several = [Case(f"{n} sequences", n, 1, past) for n in (8, 16)]
    return [*one, *several, Case("prompt of 512", 1, 512, 0), Case(f"1 behind {long}", 1, 1, long)]


def backends(graph: Path, threads: int) -> dict[str, Backend]:
    """One of each kind; those over slots as ``load`` makes them where the library is not there."""
    options = BackendOptions(graph=graph, threads=threads)
    operators = find_operators()
    if operators.library is None:
        raise SystemExit(operators.described())
    return {
        "blocks": load(options),
        "slots": _over_slots(options, operators),
        "stock": _over_slots(options, Operators(None)),
    }


def _over_slots(options: BackendOptions, operators: Operators) -> Backend:
    plan = plan_here(Workload(role=options.role, threads=options.threads))
    rewritten = None if operators.library is None else rewrite(options.graph)
    session = open_session(options.graph, plan, operators, rewritten)
    signature = read_signature(session, options.graph)
    return OnnxRuntimeBackend(session, signature, plan.threads, options, operators)


def measure(made: dict[str, Backend], every: list[Case], rounds: int) -> dict[str, list[float]]:
    """The least seconds of each case, by backend."""
    longest = max(case.past + case.tokens for case in every)
    sequences, blocks = max(case.sequences for case in every), -(-longest // 32)
    for backend in made.values():
        backend.allocate_cache(sequences * blocks)
        written = np.zeros(backend.block_bytes, np.uint8)
        for block in range(sequences * blocks):  # pages that nobody wrote to are all the same one
            backend.write_block(block, written)
    found = {name: [np.inf] * len(every) for name in made}
    for index, case in enumerate(every):
        plan = case.plan(blocks, next(iter(made.values())).info.vocab_size)
        turns = _FEW if case.tokens >= _LONG_PASS else rounds
        for turn in range(turns):
            for name in in_turn(tuple(made), turn):
                least = min(seconds(made[name].forward, plan) for _ in range(2))
                found[name][index] = min(found[name][index], least)
    return found


def seconds(forward: Callable[[StepPlan], object], plan: StepPlan) -> float:
    begun = time.perf_counter()
    forward(plan)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=core_count())
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--past", type=int, default=256)
    parser.add_argument("--long", type=int, default=6000)
    given = parser.parse_args()
    made = backends(Bundle.open(given.bundle).graph_for("onnx"), given.threads)
    every = cases(given.past, given.long)
    found = measure(made, every, given.rounds)
    print(f"{machine()}, {given.threads} threads, {find_operators().described()}\n")
    for name, backend in made.items():
        info = backend.info
        size = info.bytes_per_block // info.block_size
        print(f"{name}: {info.cache_precision}, {size / 1024:.1f} KB of cache a token")
    print("\n| pass | blocks, ms | slots, ms | stock, ms | blocks / slots | blocks / stock |")
    print("| --- " * 6 + "|")
    for index, case in enumerate(every):
        blocks, slots, stock = (found[name][index] * 1e3 for name in ("blocks", "slots", "stock"))
        cells = [f"{time:.2f}" for time in (blocks, slots, stock, blocks / slots, blocks / stock)]
        print("| " + " | ".join([case.name, *cells]) + " |")


if __name__ == "__main__":
    main()
