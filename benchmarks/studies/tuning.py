"""What ``nanoaccel tune`` gains, and that it never loses: tuned against default, in turns.

    python -m benchmarks.studies.tuning BUNDLE [--runs 5] [--time-budget 120]

Each run tunes from nothing, in a cache folder of its own, and then opens the bundle twice, tuned
and with the defaults, in processes of their own. They answer in turns, without speculation: one
prompt of 128 random tokens, eight at once, and one of 512 tokens to its first token only. Printed
are the ratios of the seconds, default to tuned, of each run: the median of its turns, and their
quartiles.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.harness.engines import PLAIN
from benchmarks.harness.figures import Quartiles, in_turn
from benchmarks.harness.machine import machine
from benchmarks.harness.worker import Worker
from nanoaccel.bundle import Bundle
from nanoaccel.text import Tokenizer

PROMPT, LONG_PROMPT = 128, 512
# Requests, tokens of each prompt, and whether they generate more than a token.
LOADS = {
    "1 request": (1, PROMPT, True),
    "8 requests": (8, PROMPT, True),
    "a prompt": (1, LONG_PROMPT, False),
}


def tune(bundle: Path, budget: float, cache: str) -> dict[str, Any]:
    """Tune from nothing, and give what the command says."""
    command = [sys.executable, "-m", "nanoaccel", "tune", str(bundle), "--json"]
    done = subprocess.run(
        [*command, "--time-budget", str(budget)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NANOACCEL_CACHE": cache},
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def compare(bundle: Path, tokens: int, turns: int, cache: str) -> dict[str, list[float]]:
    """Ratios of the seconds, default to tuned, turn by turn, for each load."""
    ratios: dict[str, list[float]] = {load: [] for load in LOADS}
    vocabulary = range(len(Tokenizer.load(Bundle.open(bundle).tokenizer_folder).vocabulary()))
    draw = random.Random(1)
    with ExitStack() as stack:
        workers = {}
        for tuned in (False, True):
            options = {"tuned": tuned, "max_running": 8, **PLAIN}
            environment = {"NANOACCEL_CACHE": cache}
            worker = Worker("nanoaccel", bundle, options, environment=environment)
            workers[tuned] = stack.enter_context(worker)
        for turn in range(turns + 1):
            for load, (requests, size, writes) in LOADS.items():
                prompts = [draw.choices(vocabulary, k=size) for _ in range(requests)]
                seconds = {
                    tuned: workers[tuned].generate(prompts, tokens if writes else 1).total
                    for tuned in in_turn(workers, turn)
                }
                if turn > 0:  # the first one warms up
                    ratios[load].append(seconds[False] / seconds[True])
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--time-budget", type=float, default=120)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--turns", type=int, default=6)
    options = parser.parse_args()
    print(machine())
    for run in range(options.runs):
        with tempfile.TemporaryDirectory() as cache:
            answer = tune(options.bundle, options.time_budget, cache)
            ratios = compare(options.bundle, options.tokens, options.turns, cache)
        set_to = {name: value for name, value in answer["setting"].items() if value is not None}
        print(f"run {run + 1}: {set_to}, tune says {answer['gain']:.3f}", flush=True)
        for load, found in ratios.items():
            print(f"  {load}: {Quartiles.of(found).show(3)}", flush=True)


if __name__ == "__main__":
    main()
