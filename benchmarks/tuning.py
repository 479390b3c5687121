"""What ``nanoaccel tune`` gains, and that it never loses: tuned against default, in turns.

    python benchmarks/tuning.py BUNDLE [--runs 5] [--time-budget 120] [--tokens 96] [--turns 6]

Each run tunes from nothing, in a cache folder of its own, and then opens the bundle twice, tuned
and with the defaults, in processes of their own. They answer in turns, without guesses: one prompt
of 128 random tokens, eight at once, and one of 512 tokens to its first token only. Printed are the
ratios of the seconds, default to tuned, of each run: the median of its turns, and their quartiles.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from workers import machine

PROMPT, LONG_PROMPT = 128, 512
# Requests, tokens of each prompt, and whether they write more than a token.
LOADS = {
    "1 request": (1, PROMPT, True),
    "8 requests": (8, PROMPT, True),
    "a prompt": (1, LONG_PROMPT, False),
}


def serve(bundle: str, tuned: bool, tokens: int) -> None:
    """Read names of loads, answer with their seconds; in a process of its own."""
    from nanoaccel import LLM, SamplingParams

    with LLM(bundle, tuned=tuned, speculation="off", prefix_cache=False, max_running=8) as llm:
        draw = random.Random(1)
        for line in sys.stdin:
            requests, size, writes = LOADS[line.strip()]
            params = SamplingParams(max_tokens=tokens if writes else 1, ignore_eos=True)
            prompts = [
                [draw.randrange(llm.backend.vocab_size) for _ in range(size)]
                for _ in range(requests)
            ]
            begun = time.perf_counter()
            llm.generate(prompts, params)
            print(time.perf_counter() - begun, flush=True)


class Process:
    """A bundle that is open in a process of its own."""

    def __init__(self, bundle: str, *, tuned: bool, tokens: int, cache: str) -> None:
        command = [sys.executable, __file__, bundle, "--tokens", str(tokens), "--serve"]
        self._process = subprocess.Popen(
            [*command, "tuned" if tuned else "default"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "NANOACCEL_CACHE": cache},
        )

    def seconds(self, load: str) -> float:
        """Of one of ``LOADS``."""
        _pipe(self._process.stdin).write(f"{load}\n")
        _pipe(self._process.stdin).flush()
        return float(_pipe(self._process.stdout).readline())

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        _pipe(self._process.stdin).close()
        self._process.wait(60)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def tune(bundle: str, budget: float, cache: str) -> dict[str, Any]:
    """Tune from nothing, and give what the command says."""
    done = subprocess.run(
        [sys.executable, "-m", "nanoaccel", "tune", bundle, "--json", "--time-budget", str(budget)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NANOACCEL_CACHE": cache},
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def compare(bundle: str, tokens: int, turns: int, cache: str) -> dict[str, list[float]]:
    """Ratios of the seconds, default to tuned, turn by turn, for each load."""
    ratios: dict[str, list[float]] = {load: [] for load in LOADS}
    with ExitStack() as stack:
        default, tuned = (
            stack.enter_context(Process(bundle, tuned=tuned, tokens=tokens, cache=cache))
            for tuned in (False, True)
        )
        for turn in range(turns + 1):
            for load in LOADS:
                order = [default, tuned] if turn % 2 == 0 else [tuned, default]
                seconds = {process: process.seconds(load) for process in order}
                if turn > 0:  # the first one warms up
                    ratios[load].append(seconds[default] / seconds[tuned])
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--time-budget", type=float, default=120)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--serve", choices=("tuned", "default"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.bundle, options.serve == "tuned", options.tokens)
        return
    print(machine())
    for run in range(options.runs):
        with tempfile.TemporaryDirectory() as cache:
            answer = tune(str(Path(options.bundle)), options.time_budget, cache)
            ratios = compare(options.bundle, options.tokens, options.turns, cache)
        set_to = {name: value for name, value in answer["setting"].items() if value is not None}
        print(f"run {run + 1}: {set_to}, tune says {answer['gain']:.3f}", flush=True)
        for load, found in ratios.items():
            low, _, high = statistics.quantiles(found, n=4)
            print(f"  {load}: {statistics.median(found):.3f} ({low:.3f} to {high:.3f})", flush=True)


if __name__ == "__main__":
    main()
