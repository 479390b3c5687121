"""Statistics that the benchmarks share."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Trace:
    """One request as a client saw it; in seconds from the start of the load.

    Args:
        due: When it was asked.
        tokens: When each token came.
    """

    due: float
    tokens: list[float]

    @property
    def first_token(self) -> float:
        """Seconds to the first token."""
        return self.tokens[0] - self.due


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


def milliseconds(*seconds: float) -> str:
    """Times for a table, in milliseconds with three digits."""
    return " / ".join(f"{1e3 * x:.{0 if x >= 0.1 else 1}f}" for x in seconds)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
