"""What several engines bring: requests at once on one engine and on two, in turns.

    python -m benchmarks.studies.replicas --bundle BUNDLE [--replicas 2] [--requests 1,4,16]

All are open at the same time, and take turns; what is printed is the median of the ratios of
neighbors, with the smallest and the largest. ``hop`` is what a process of its own costs one
request: a single engine in another process, with all cores, against one in this process.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.figures import table, table_head, table_row
from benchmarks.harness.machine import machine
from nanoaccel import LLM, SamplingParams
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.engines import engine_plans
from nanoaccel.runtime.cpu.machine import this_machine
from nanoaccel.runtime.replicas.client import ReplicaClient
from nanoaccel.runtime.streams import Stream

PROMPT_TOKENS = 128
TEXT_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds of a turn: of all requests together, to the first token, from there to the end."""

    total: float
    first: float
    decode: float


def in_another_process(bundle: Path) -> ReplicaClient:
    """One engine with all cores, behind the pipe."""
    config = EngineConfig(speculation="off", prefix_cache=False)
    plans = engine_plans(this_machine(), 1, None, os.environ)
    return ReplicaClient(bundle, plans, backend="auto", config=config, on_event=None)


def ask(serving: LLM | ReplicaClient, prompts: list[list[int]]) -> Taken:
    """Answer prompts at once; times are those of the first of them."""
    session = serving.client if isinstance(serving, LLM) else serving
    params = SamplingParams(max_tokens=TEXT_TOKENS, ignore_eos=True)
    begun = time.perf_counter()
    streams = [Stream(session.prepare(prompt, params, None)) for prompt in prompts]
    chunk = next(streams[0])
    first = time.perf_counter()
    for stream in streams:
        for chunk in stream:
            if chunk.finish_reason == "error":
                raise SystemExit(chunk.error)
    ended = time.perf_counter()
    return Taken(ended - begun, first - begun, ended - first)


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--requests", default="1,4,16")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.requests.split(",")]
    draw = random.Random(1)
    options = {"speculation": "off", "prefix_cache": False}
    with ExitStack() as stack:
        one = stack.enter_context(LLM(arguments.bundle, replicas=1, **options))
        several = stack.enter_context(LLM(arguments.bundle, replicas=arguments.replicas, **options))
        apart = in_another_process(arguments.bundle)
        stack.callback(apart.close)

        def prompts(count: int) -> list[list[int]]:
            size = one.backend.vocab_size
            return [[draw.randrange(size) for _ in range(PROMPT_TOKENS)] for _ in range(count)]

        for serving in (one, several, apart):
            ask(serving, prompts(2))
        print(f"{machine()}; prompts of {PROMPT_TOKENS} tokens, {TEXT_TOKENS} written\n")
        print(table_head(["requests", f"throughput of {arguments.replicas} engines against 1"]))
        for count in counts:
            ratios = []
            for _ in range(arguments.rounds):
                asked = prompts(count)
                ratios.append(ask(one, asked).total / ask(several, asked).total)
            print(table_row([count, spread(ratios)]), flush=True)
        taken = []
        for _ in range(2 * arguments.rounds):
            asked = prompts(1)
            taken.append((ask(apart, asked), ask(one, asked)))
    gap = statistics.median(theirs.first - ours.first for theirs, ours in taken)
    firsts = spread([theirs.first / ours.first for theirs, ours in taken])
    decodes = spread([theirs.decode / ours.decode for theirs, ours in taken])
    rows = [
        ["to the first token", f"{firsts}, {gap * 1e3:+.2f} ms"],
        ["from there to the end", decodes],
    ]
    print("\n" + table(["hop of one request", "time in another process against this"], rows))


if __name__ == "__main__":
    main()
