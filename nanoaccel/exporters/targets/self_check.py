"""The self-check of an export: the engine that will run a graph runs it once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoaccel.calibration.probes import (
    Answer,
    Difference,
    Probes,
    largest_difference,
)
from nanoaccel.errors import ExportError, MissingExtraError, NanoAccelError
from nanoaccel.registry import ENGINE_CHECKS

# Of a log-probability, in nats: what other kernels round otherwise, in f32.
TOLERANCE = 1e-3
ORIGINAL, JUDGED = "the original", "the graph that was judged"


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected log-probabilities of a self-check.

    Args:
        answers: Log-probabilities f32[R, V], a row for each of the probes' rows.
        source: Who gave them.
    """

    answers: NDArray[np.float32]
    source: str


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The result of the self-check of one graph.

    Args:
        runtime: Name of the backend.
        difference: The largest of a log-probability, in nats.
        tolerance: The largest that is published.
        requests: Requests that were made.
        tokens: Tokens of the longest of them.
        against: Who gave what is right.
    """

    runtime: str
    difference: float
    tolerance: float
    requests: int
    tokens: int
    against: str

    def describe(self) -> str:
        """The result in a few words."""
        return (
            f"within {self.difference:.1e} nats of {self.against} through the engine "
            f"(at most {self.tolerance:g}; {self.requests} requests, up to {self.tokens} tokens)"
        )


def self_check(
    folder: Path, runtime: str, path: Path, probes: Probes, expected: Expected, group: int | None
) -> SelfCheck:
    """Run a graph through the engine and compare.

    Args:
        folder: Folder of the bundle in the making.
        runtime: Name of the backend that runs the graph.
        path: The graph's file.
        probes: What the engine is asked.
        expected: What is right.
        group: Weights that share a scale; None without groups.

    Raises:
        ExportError: The engine cannot run it, or gives something else.
    """
    ask = ENGINE_CHECKS.resolve("engine")
    try:
        answers: Sequence[Answer] = ask(folder, runtime, path, probes, group)
    except MissingExtraError:
        raise
    except NanoAccelError as error:
        raise ExportError(
            f"the {runtime} graph does not run in the engine: {error.problem}",
            "No bundle was written: the engine cannot run this architecture as it was exported",
        ) from error
    worst = largest_difference(probes, expected.answers, answers)
    if worst.nats > TOLERANCE:
        raise _wrong(runtime, expected, worst)
    return SelfCheck(
        runtime=runtime,
        difference=worst.nats,
        tolerance=TOLERANCE,
        requests=len(probes.requests),
        tokens=len(probes.tokens),
        against=expected.source,
    )


def _wrong(runtime: str, expected: Expected, worst: Difference) -> ExportError:
    return ExportError(
        f"the engine does not give what {expected.source} gives: with {runtime}, behind "
        f"{worst.length} tokens (a prompt of {worst.prompt}) a log-probability is off by "
        f"{worst.nats:.2g} nats, and {TOLERANCE:g} is allowed",
        "No bundle was written: this architecture attends in a way that the engine does not "
        "compute; try another --runtime, or another model",
    )
