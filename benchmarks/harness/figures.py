"""Statistics that the benchmarks share."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from benchmarks.harness.loads import Trace

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the tail, in seconds."""

    p50: float
    p95: float
    p99: float

    @staticmethod
    def of(seconds: Iterable[float]) -> Spread:
        return Spread(*(float(x) for x in np.percentile(list(seconds), (50, 95, 99))))


@dataclass(frozen=True, slots=True)
class Pacing:
    """What one engine did with one load.

    Args:
        tokens_per_second: Generated tokens, from the start to the last of them.
        first_token: Time to the first token, over the requests.
        per_token: Time between two tokens of a request, over all of them.
    """

    tokens_per_second: float
    first_token: Spread
    per_token: Spread

    @staticmethod
    def of(traces: Sequence[Trace]) -> Pacing:
        end = max(trace.tokens[-1] for trace in traces)
        return Pacing(
            sum(len(trace.tokens) for trace in traces) / end,
            Spread.of(trace.first_token for trace in traces),
            Spread.of(gaps(traces)),
        )


def gaps(traces: Iterable[Trace], since: float = 0.0) -> list[float]:
    """Seconds between neighboring tokens of a request, for those that came after ``since``."""
    return [
        after - before
        for trace in traces
        for before, after in zip(trace.tokens, trace.tokens[1:], strict=False)
        if before >= since
    ]


def median_of(found: Sequence[Found], figure: Callable[[Found], float]) -> float:
    """The median of a figure over the runs."""
    return statistics.median(figure(entry) for entry in found)


def median_ratio(
    ours: Sequence[Found], theirs: Sequence[Found], figure: Callable[[Found], float]
) -> float:
    """Median of ours over theirs, run by run."""
    return statistics.median(figure(a) / figure(b) for a, b in zip(ours, theirs, strict=True))


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


def in_turn(things: Iterable[Found], turn: int) -> list[Found]:
    """All of them in the order of a turn: who begins changes from turn to turn."""
    order = list(things)
    shift = turn % max(len(order), 1)
    return order[shift:] + order[:shift]


def milliseconds(*seconds: float) -> str:
    """Times for a table, in milliseconds with three digits."""
    return " / ".join(f"{1e3 * x:.{0 if x >= 0.1 else 1}f}" for x in seconds)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A markdown table."""
    return "\n".join([table_head(header), *(table_row(cells) for cells in rows)])


def table_head(header: Sequence[str]) -> str:
    """The first two lines of a markdown table, for rows that are printed one by one."""
    return table_row(header) + "\n" + table_row(["---"] * len(header))


def table_row(cells: Sequence[Any]) -> str:
    """A row of a markdown table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
