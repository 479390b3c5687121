"""Memory and load time of a bundle in fresh processes, beside its weights file and its cache.

    python -m benchmarks.studies.footprint BUNDLE [--backend onnx] [--rounds 3] [--prompt 512]

A process opens the bundle without speculation, computes a prompt and some tokens behind it, and
tells what it holds in memory: anonymous pages, and pages of files, the interpreter and its
libraries among both. The last columns are what was added to what the process held before the
bundle was opened, and all of the process, over the weights file and the cached tokens.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness.figures import Quartiles, table
from benchmarks.harness.machine import machine
from nanoaccel import LLM, SamplingParams
from nanoaccel.bundle import Bundle, weights_size
from nanoaccel.registry import BACKENDS

_GENERATED = 16


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of a process in memory, by kind of page."""

    anonymous: int
    file: int

    @property
    def all(self) -> int:
        """Both."""
        return self.anonymous + self.file

    @classmethod
    def now(cls) -> Held:
        """What this process holds."""
        found = {}
        for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
            name, _, size = line.partition(":")
            found[name] = int(size.split()[0]) * 1024
        return cls(found["Anonymous"], found["Rss"] - found["Anonymous"])


@dataclass(frozen=True, slots=True)
class Run:
    """What a process told.

    Args:
        seconds: To open the bundle.
        weights: Bytes of the weights file.
        cache: Bytes of the cached tokens.
        held: What it held in each state, in the order of ``_STATES``.
    """

    seconds: float
    weights: int
    cache: int
    held: list[Held]

    @classmethod
    def watch(cls, bundle: Path, backend: str, prompt: int) -> Run:
        """Open a bundle in this process, and run it."""
        opened = Bundle.open(bundle)
        name = opened.runtimes[0] if backend == "auto" else backend
        BACKENDS.resolve(name)  # imports the runtime
        before, begun = Held.now(), time.perf_counter()
        with LLM(bundle, backend=name, replicas=1, speculation="off", prefix_cache=False) as llm:
            loaded, seconds = Held.now(), time.perf_counter() - begun
            draw = random.Random(0)
            ids = [draw.randrange(llm.backend.vocab_size) for _ in range(prompt)]
            params = SamplingParams(max_tokens=_GENERATED, ignore_eos=True, temperature=0.0)
            llm.generate(ids, params)
            blocks = -(-(prompt + _GENERATED) // llm.backend.block_size)
            cache = blocks * llm.backend.bytes_per_block
            held = [before, loaded, Held.now()]
        return cls(seconds, weights_size(opened.graph_for(name)), cache, held)

    @classmethod
    def read(cls, line: str) -> Run:
        """What a process printed."""
        found = json.loads(line)
        return cls(**{**found, "held": [Held(**state) for state in found["held"]]})


def report(runs: list[Run]) -> str:
    """A row for each state of the process."""
    weights, cache = runs[0].weights, runs[0].cache
    beside = {"before": 0, "loaded": weights, "after a prompt": weights + cache}
    before = statistics.median(run.held[0].all for run in runs)
    rows = []
    for index, (state, size) in enumerate(beside.items()):
        states = [run.held[index] for run in runs]
        anonymous = statistics.median(held.anonymous for held in states)
        file = statistics.median(held.file for held in states)
        all_ = anonymous + file
        shown = [f"{bytes_ / 1e6:.0f}" for bytes_ in (anonymous, file, all_)]
        ratios = [f"{(all_ - before) / size:.2f}", f"{all_ / size:.2f}"] if size else ["", ""]
        rows.append([state, *shown, *ratios])
    header = ["", "anonymous, MB", "of files, MB", "all, MB", "added", "all of the process"]
    seconds = Quartiles.of([run.seconds for run in runs])
    sizes = f"weights file {weights / 1e6:.0f} MB, cache {cache / 1e6:.0f} MB"
    return f"{sizes}; loaded in {seconds.show(2)} s\n\n{table(header, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--backend", default="onnx")
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("--rounds", type=int, default=3, help="processes")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)  # in a process
    given = parser.parse_args()
    if given.once:
        print(json.dumps(asdict(Run.watch(given.bundle, given.backend, given.prompt))))
        return
    command = [sys.executable, "-m", "benchmarks.studies.footprint", *sys.argv[1:], "--once"]
    runs = []
    for _ in range(given.rounds):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        runs.append(Run.read(done.stdout.splitlines()[-1]))
    print(f"{machine()}, {given.backend}\n\n{report(runs)}")


if __name__ == "__main__":
    main()
