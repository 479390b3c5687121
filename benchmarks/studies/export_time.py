"""Seconds of an export, stage by stage, and of the libraries that it imports.

    python -m benchmarks.studies.export_time [--model sample] [--rounds 1] [EXPORT OPTIONS]

``--model random-1.1b`` is a Llama of TinyLlama's shape with random weights (2.5 GB), written for
that time. Each export runs in a process of its own, as ``nanoaccel export`` does, with a cache
folder of its own that is empty: nothing that an earlier export measured is found. Options that are
not known here are the export's, such as ``--runtime both``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.exports import RANDOM_MODEL
from benchmarks.harness.figures import table
from benchmarks.harness.machine import machine
from benchmarks.harness.random_llama import write_random_llama

_LIBRARIES = ("torch", "transformers.models.llama.modeling_llama", "openvino", "nncf", "onnx_ir")
_COUNT = "import sys, time; t = time.perf_counter(); import {}; " + (
    "print(time.perf_counter() - t, len(sys.modules))"
)


@dataclass(frozen=True, slots=True)
class Timed:
    """One export.

    Args:
        total: Seconds from the start of its process to the end.
        stages: Seconds of each stage.
        kl: Divergence of the result, nats a token.
        size: Bytes of its weights file.
        peak: The most memory that it saw, bytes.
        expected: Memory that it foretold, bytes.
    """

    total: float
    stages: dict[str, float]
    kl: float
    size: int
    peak: int
    expected: int


def export_once(model: str, work: Path, options: list[str]) -> Timed:
    """Export a model in a process of its own, with an empty cache folder."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "nanoaccel", "export", model, str(work / "out"), *options],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "NANOACCEL_CACHE": str(work / "cache")},
    )
    total = time.perf_counter() - begin
    report = json.loads((work / "out" / "report.json").read_text(encoding="utf-8"))
    return Timed(
        total,
        report["seconds"],
        report["fidelity"]["kl"],
        report["graph_bytes"],
        report["peak_memory"],
        report["expected_memory"],
    )


def libraries() -> str:
    """Seconds and modules of each library, imported alone."""
    rows = []
    for name in _LIBRARIES:
        command = [sys.executable, "-c", _COUNT.format(name)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        rows.append([name, f"{float(found[-2]):.1f}", found[-1]])
    return table(["imported alone", "seconds", "modules"], rows)


def report(rounds: list[Timed]) -> str:
    """A column for each export."""
    stages = list(dict.fromkeys(name for one in rounds for name in one.stages))
    rows = [[name, *(f"{one.stages.get(name, 0.0):.1f}" for one in rounds)] for name in stages]
    rows += [
        ["all, with the start of Python", *(f"{one.total:.1f}" for one in rounds)],
        ["KL, nats a token", *(f"{one.kl:.4f}" for one in rounds)],
        ["weights file, MB", *(f"{one.size / 1e6:.1f}" for one in rounds)],
        ["memory, GB", *(f"{one.peak / 1e9:.2f}" for one in rounds)],
        ["expected, GB", *(f"{one.expected / 1e9:.2f}" for one in rounds)],
    ]
    return table(["stage", *(f"run {place + 1}" for place in range(len(rounds)))], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="sample")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where models and bundles lie for that time")
    given, options = parser.parse_known_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        model = given.model
        if model == RANDOM_MODEL:
            model = str(write_random_llama(Path(folder) / "model"))
        rounds = []
        for place in range(given.rounds):
            work = Path(folder) / str(place)
            work.mkdir()
            rounds.append(export_once(model, work, options))
    print(report(rounds))
    print(libraries())


if __name__ == "__main__":
    main()
