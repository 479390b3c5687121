"""The file of results: which machine, which versions, which model, and every figure taken.

A row has one list of figures for each engine. Figures with the same place in their lists were taken
right after each other, so the ratio of two of them is hardly disturbed by what else ran.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.figures import Quartiles, table

SCHEMA = 1


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
            raise ValueError(f"{path} is no file of benchmarks.peers.run with schema {SCHEMA}")
        try:
            return cls(**{**read, "rows": [Row(**row) for row in read["rows"]]})
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not whole: {error}") from error


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
