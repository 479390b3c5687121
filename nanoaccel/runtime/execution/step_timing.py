"""Measures what passes cost on this machine before the first request, and remembers it."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from nanoaccel.cached_json import file_of, load_or_none, store_json
from nanoaccel.runtime.backends import Backend
from nanoaccel.runtime.execution.step_time import StepCost
from nanoaccel.runtime.types.plan import StepPlan

# Passes over so many tokens, in some rounds, of which none begins after the time is up. A pass of
# another size than the one before may have to prepare itself: the next one shows what it costs.
_SIZES = (1, 2, 4, 8, 12, 16)
_REPEATS = 3
_ROUNDS = 4
_MAX_SECONDS = 1.0
# Tokens before them: attention to a text of usual length is part of the cost.
_PAST = 256


def calibrate(
    backend: Backend,
    cost: StepCost,
    *,
    room: int,
    key: str,
    folder: Path,
    again: bool = False,
) -> None:
    """Teach ``cost`` what short passes cost: from ``folder`` if it was measured before, else now.

    Args:
        backend: Its cache is allocated and nothing is in it.
        cost: Knows nothing yet.
        room: Tokens that its blocks from number 0 on hold.
        key: Names the graph; what else the cost depends on is added.
        folder: Keeps one small file for each; one that cannot be read or written is no error.
        again: Measure even what is known.
    """
    info = backend.info
    name = f"{key} {info.device} {info.threads} {info.cache_layout} after {_PAST}"
    file = file_of(folder / "pass-cost", name)
    sizes = {size for size in _SIZES if size <= room}
    points = None if again else load_or_none(file, lambda found: _points(found, sizes))
    if points is None:
        points = _measure(backend, room)
        store_json(file, points)
    cost.restore(points)


def _measure(backend: Backend, room: int) -> dict[int, float]:
    """Seconds by tokens; the least of some rounds, as other programs only ever add to it."""
    sizes = [size for size in _SIZES if size <= room]
    past = min(_PAST, room - sizes[-1])
    blocks = [range(-(-(past + sizes[-1]) // backend.info.block_size))]
    plans = {size: StepPlan.even(blocks, past, size, all_rows=True) for size in sizes}
    if past > 0:
        backend.forward(StepPlan.even(blocks, 0, past))
    points = dict.fromkeys(plans, math.inf)
    end = time.perf_counter() + _MAX_SECONDS
    for _ in range(_ROUNDS):
        for size, plan in plans.items():
            for _ in range(_REPEATS):
                begun = time.perf_counter()
                backend.forward(plan)
                points[size] = min(points[size], time.perf_counter() - begun)
        if time.perf_counter() > end:
            break
    return points


def _points(found: Any, sizes: set[int]) -> dict[int, float]:
    points = {int(size): float(seconds) for size, seconds in found.items()}
    known = sizes <= set(points) <= set(_SIZES)
    if not known or not all(0 < value < 1e6 for value in points.values()):
        raise ValueError("a value is out of range")
    return points
