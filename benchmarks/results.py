"""The file of results: which machine, which versions, which model, and every figure taken.

A row has one list of figures for each engine. Figures with the same place in their lists were taken
right after each other, so the ratio of two of them is hardly disturbed by what else ran.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from figures import table
from workers import cpu_names

SCHEMA = 1
PACKAGES = (
    *("nanoaccel", "openvino", "openvino-genai", "onnxruntime", "onnxruntime-genai"),
    *("llama-cpp-python", "torch", "transformers"),
)
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8")
_INSTRUCTIONS += ("amx_bf16", "asimddp", "i8mm", "sve")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured of several engines.

    Args:
        name: Such as "decode 1".
        unit: Of the figures.
        higher: More is better.
        figures: By engine, round by round.
    """

    name: str
    unit: str
    higher: bool
    figures: Mapping[str, Sequence[float]]

    def gains(self, engine: str, reference: str) -> list[float]:
        """How much better than the reference, round by round: above 1 is better."""
        pairs = zip(self.figures[engine], self.figures[reference], strict=True)
        return [ours / theirs if self.higher else theirs / ours for ours, theirs in pairs]


@dataclass(frozen=True, slots=True)
class Results:
    """All of one run.

    Args:
        machine: See ``describe_machine``.
        versions: By package.
        model: What was run, and of which recipe.
        engines: By name, what it is.
        rows: What was measured.
    """

    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    model: Mapping[str, Any]
    engines: Mapping[str, str]
    rows: Sequence[Row]

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        path.write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what ``save`` wrote.

        Raises:
            ValueError: It is no such file.
        """
        try:
            read = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not JSON: {error}") from error
        if not isinstance(read, dict) or read.pop("schema", None) != SCHEMA:
            raise ValueError(f"{path} is no file of benchmarks/peers.py with schema {SCHEMA}")
        try:
            return cls(**{**read, "rows": [Row(**row) for row in read["rows"]]})
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not whole: {error}") from error


@dataclass(frozen=True, slots=True)
class Quartiles:
    """The middle of some figures, and what half of them lie between."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Quartiles:
        return cls(*(float(x) for x in np.percentile(figures, (25, 50, 75))))

    def show(self, digits: int) -> str:
        """As in "52.1 (51.8-53.0)"."""
        low, middle, high = (f"{x:.{digits}f}" for x in (self.low, self.middle, self.high))
        return f"{middle} ({low}-{high})"


def describe_machine() -> dict[str, Any]:
    """What decides about speed here: the CPU, its instructions, cores, memory, the system."""
    flags: set[str] = set()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("flags", "Features")):
            flags |= set(line.split(":", 1)[1].split())
    return {
        "cpu": next(iter(cpu_names()), platform.machine()),
        "cores": os.cpu_count(),
        "allowed": len(os.sched_getaffinity(0)),
        "instructions": [name for name in _INSTRUCTIONS if name in flags],
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def versions_here() -> dict[str, str]:
    """Those of the packages that are measured, where they are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def versions_there(python: str) -> dict[str, str]:
    """That of llama.cpp's bindings under another interpreter."""
    script = "import importlib.metadata as m; print(m.version('llama-cpp-python'))"
    done = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True)
    return {"llama-cpp-python": done.stdout.strip()}


def caption(results: Results) -> str:
    """The machine, the model and the versions in one line."""
    machine = results.machine
    instructions = ", ".join(machine["instructions"])
    versions = ", ".join(f"{name} {number}" for name, number in results.versions.items())
    return (
        f"{machine['allowed']} cores of {machine['cpu']} ({instructions}), {machine['system']}; "
        f"model {results.model['name']}; {versions}"
    )


def report(results: Results, reference: str) -> str:
    """A table for each row: medians with quartiles, and gains over the reference."""
    parts = []
    for row in results.rows:
        other = reference if reference in row.figures else next(iter(row.figures))
        lines = []
        for name, figures in row.figures.items():
            digits = 2 if statistics.median(figures) < 10 else 1
            gain = Quartiles.of(row.gains(name, other)).show(2)
            lines.append([name, Quartiles.of(figures).show(digits), gain])
        lines.sort(key=lambda line: -float(line[2].split()[0]))
        rounds = len(row.figures[other])
        header = ["engine", row.unit, f"over {other}"]
        parts.append(f"{row.name} ({rounds} rounds):\n\n{table(header, lines)}")
    return "\n\n".join(parts)
