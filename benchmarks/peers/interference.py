"""What long prompts do to requests that are decoding."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.harness.figures import Spread, gaps, median_of, milliseconds, table
from benchmarks.harness.loads import Trace, decoding
from benchmarks.harness.worker import Worker


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One quiet run, and the disturbed one right after it.

    Args:
        quiet: Time between two tokens of the decoding requests.
        disturbed: The same with long prompts beside them.
        came: Long prompts that came while the requests were decoding.
        answered: Those of them that got their first token meanwhile.
    """

    quiet: Spread
    disturbed: Spread
    came: int
    answered: int

    @staticmethod
    def of(quiet: list[Trace], disturbed: list[Trace]) -> Disturbance:
        decoding, long = disturbed[: len(quiet)], disturbed[len(quiet) :]
        end = max(trace.tokens[-1] for trace in decoding)
        return Disturbance(
            _pace(quiet),
            _pace(decoding),
            sum(trace.due < end for trace in long),
            sum(len(trace.tokens) > 0 for trace in long),
        )

    @property
    def ratio(self) -> float:
        """How much the tail grew."""
        return self.disturbed.p95 / self.quiet.p95


def measure(workers: Mapping[str, Worker], rounds: int) -> dict[str, list[Disturbance]]:
    """Quiet and disturbed runs of each engine, in turn."""
    found: dict[str, list[Disturbance]] = {name: [] for name in workers}
    for number in range(rounds):
        for name, worker in workers.items():
            quiet = worker.play(decoding(2 * number, disturbed=False))
            disturbed = worker.play(decoding(2 * number + 1, disturbed=True))
            found[name].append(Disturbance.of(quiet, disturbed))
    return found


def report(found: Mapping[str, list[Disturbance]]) -> str:
    """A table: medians over the rounds, and the median growth of the tail."""
    header = ["engine", "quiet p50 / p95 ms", "disturbed p50 / p95 ms", "p95 ratio", "long prompts"]
    return table(header, [[name, *_cells(runs)] for name, runs in found.items()])


def _cells(runs: list[Disturbance]) -> list[str]:
    return [
        milliseconds(
            median_of(runs, lambda r: r.quiet.p50), median_of(runs, lambda r: r.quiet.p95)
        ),
        milliseconds(
            median_of(runs, lambda r: r.disturbed.p50), median_of(runs, lambda r: r.disturbed.p95)
        ),
        f"{statistics.median(run.ratio for run in runs):.2f}x",
        f"{sum(run.answered for run in runs)} of {sum(run.came for run in runs)} begun",
    ]


def _pace(traces: list[Trace]) -> Spread:
    """Gaps from when all of them decode, so that their own prompts do not count."""
    return Spread.of(gaps(traces, since=max(trace.tokens[0] for trace in traces)))
