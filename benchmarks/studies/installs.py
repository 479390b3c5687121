"""What installs take on disk, and how long their first import takes.

    python -m benchmarks.studies.installs [--rounds 5] [--json FILE]

A wheel of this tree is installed in new environments: by pip, and as an edge install. Sizes are
those of all files, in MB of a million bytes, without pip; edge installs have their bytecode with
them. Imports are those of fresh processes that take turns, over the time that numpy's takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness.figures import table
from benchmarks.harness.machine import machine
from deploy.edge import ROOT, make, size

PIP = {"[onnx]": "onnx", "[openvino]": "openvino", "[server,onnx]": "server,onnx"}
EDGE = {
    "edge": ("onnx", False),
    "edge --runtime openvino": ("openvino", False),
    "edge --server": ("onnx", True),
    "edge --server --runtime openvino": ("openvino", True),
}
IMPORTS = {
    "numpy": "import numpy",
    "LLM": "import nanoaccel; nanoaccel.LLM",
    "LLM and its engine": "import nanoaccel.runtime.llm, nanoaccel.runtime.open",
}
_TIMED = "import time; begun = time.perf_counter(); {}; print(time.perf_counter() - begun)"


def install(folder: Path, extras: str, wheel: Path) -> None:
    """An environment that pip fills."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = (sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install")
    constraint = ("--quiet", "--constraint", str(ROOT / "constraints.txt"))
    subprocess.run([*pip, *constraint, f"{wheel}[{extras}]"], check=True)


def packages(folder: Path) -> int:
    """Packages of an environment."""
    return len(list(folder.glob("lib/python*/site-packages/*.dist-info")))


def import_times(python: Path, rounds: int) -> dict[str, float]:
    """Median seconds of each import."""
    found: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(rounds + 1):  # the first one reads files that the others find in memory
        for name, code in IMPORTS.items():
            told = subprocess.check_output([str(python), "-c", _TIMED.format(code)], text=True)
            found[name].append(float(told))
    return {name: statistics.median(times[1:]) for name, times in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sizes: dict[str, tuple[int, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        building = ("-m", "build", "--wheel", "--no-isolation", "--outdir", str(work), str(ROOT))
        subprocess.run([sys.executable, *building], check=True, stdout=subprocess.DEVNULL)
        (wheel,) = work.glob("*.whl")
        for label, extras in PIP.items():
            install(work / label, extras, wheel)
        for label, (runtime, server) in EDGE.items():
            make(work / label, runtime, server=server, nanoaccel=str(wheel))
        for label in (*PIP, *EDGE):
            sizes[label] = packages(work / label), size(work / label) / 1e6
        times = import_times(work / "edge" / "bin" / "python", arguments.rounds)
    rows = [[label, str(count), f"{mega:.0f}"] for label, (count, mega) in sizes.items()]
    print(table(["install", "packages", "MB"], rows))
    numpy = times["numpy"]
    rows = [[name, f"{took * 1000:.0f}", f"{took / numpy:.2f}"] for name, took in times.items()]
    print(table(["import", "ms", "of numpy's"], rows))
    if arguments.json is not None:
        told = {"machine": machine(), "sizes": sizes, "seconds": times}
        arguments.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
