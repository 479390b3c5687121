"""What the operators of a compiled graph take, as OpenVINO counts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from nanoaccel.runtime.backends.base import OperatorTime
from nanoaccel.runtime.backends.layers import layers_of

# OpenVINO cuts each time to whole microseconds: on average half of one is lost.
_CUT = 0.5e-6


class OneGraph(Protocol):
    """A compiled graph with its one inference request."""

    request: Any

    def run(self, work: Any, /) -> None:
        """Run it once."""
        ...


@dataclass(frozen=True, slots=True)
class _Reading:
    """Passes so far, and what each operator took in all of them; None for one that never ran."""

    passes: int
    totals: tuple[float | None, ...]


class OperatorTimes:
    """Times by section, of the one copy of a graph that runs.

    A graph compiled with PERF_COUNT tells the mean of each operator over all its passes, so what
    happened in between is the difference of two readings.

    Args:
        copy: The one copy; its passes are counted from now on.
        looked_up_bytes: As ``OperatorTimer``.
    """

    def __init__(self, copy: OneGraph, looked_up_bytes: int) -> None:
        self.looked_up_bytes = looked_up_bytes
        self._request = copy.request
        self._passes = 0
        self._readings: list[_Reading] = []
        run = copy.run

        def counted(work: Any) -> None:
            run(work)
            self._passes += 1

        copy.run = counted  # type: ignore[method-assign]

    def begin_section(self) -> None:
        """As ``OperatorTimer``."""
        self._readings.append(self._read())

    def sections(self) -> list[list[OperatorTime]]:
        """As ``OperatorTimer.operator_times``."""
        readings = [*self._readings, self._read()]
        info = self._info()
        names = [item.node_name for item in info]
        kinds = [item.node_type for item in info]
        layers = layers_of(names)
        return [
            [
                OperatorTime(name, kind, layer, _between(before, after, index), passes)
                for index, (name, kind, layer) in enumerate(zip(names, kinds, layers, strict=True))
                if after.totals[index] is not None
            ]
            for before, after in pairwise(readings)
            if (passes := after.passes - before.passes) > 0
        ]

    def _read(self) -> _Reading:
        totals = tuple(
            (item.real_time.total_seconds() + _CUT) * self._passes
            if item.status == item.Status.EXECUTED
            else None
            for item in self._info()
        )
        return _Reading(self._passes, totals)

    def _info(self) -> Sequence[Any]:
        """What OpenVINO tells, in the order in which operators run."""
        return self._request.profiling_info if self._passes > 0 else ()


def _between(before: _Reading, after: _Reading, index: int) -> float:
    """Seconds of an operator in the passes from one reading to the next."""
    total = after.totals[index]
    assert total is not None, "it ran"
    first = before.totals[index] if before.passes > 0 else 0.0
    per_pass = _CUT * (after.passes - before.passes)  # cut once for each pass, once in the mean
    return max(0.0, total - (0.0 if first is None else first) + per_pass)
