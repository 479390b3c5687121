"""Measures which states a pass with draft tokens should keep on this machine, and stores it."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nanoaccel.cached_json import file_of, load_or_none, store_json
from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.execution.pass_timing import PassBench
from nanoaccel.runtime.types.packing import even_plan
from nanoaccel.runtime.types.plan import StateTable, StepPlan

_FOLDER = "pass-times"
_TOKENS = 8
_SECONDS, _ROUNDS, _REPEATS = 1.0, 4, 3
_EACH, _TWO, _ONE = "each", "two", "one"


def keeps_every_state(model: LoadedModel, folder: Path) -> bool:
    """Whether a pass with draft tokens should leave a state behind each token.

    The other way is to leave two, before and behind the draft tokens, and to compute accepted ones
    again when one is refused. As it happens about once in a draft, states are kept when writing
    those of a draft takes no longer than another token in a pass.

    Args:
        model: A graph with recurrent states, whose cache has nothing in it.
        folder: Keeps a small file; one that cannot be read or written is no error.
    """
    path = file_of(folder / _FOLDER, f"states {model.key}")
    seconds = load_or_none(path, _read)
    if seconds is None:
        seconds = _measure(model)
        store_json(path, {"states": seconds})
    token = (seconds[_TWO] - seconds[_ONE]) / (_TOKENS - 1)
    return seconds[_EACH] - seconds[_TWO] <= max(0.0, token)


def with_states(plan: StepPlan, interval: int, offset: int) -> StepPlan:
    """A plan of one sequence that leaves states every ``interval`` tokens, from slot 1 on."""
    written = -(-(offset + len(plan.token_ids)) // interval)
    table = StateTable(
        slots=np.arange(written + 1, dtype=np.int32),
        begins=np.array([0, written + 1], np.int32),
        intervals=np.array([interval], np.int32),
        offsets=np.array([offset], np.int32),
    )
    return replace(plan, recurrent=table)


def _measure(model: LoadedModel) -> dict[str, float]:
    plan = partial(even_plan, [[0]], 0, all_rows=True)
    plans = {
        _ONE: plan(1),
        _TWO: with_states(plan(_TOKENS), _TOKENS - 1, _TOKENS - 2),
        _EACH: with_states(plan(_TOKENS), 1, 0),
    }
    bench = PassBench(model.backend, plans)
    end = time.perf_counter() + _SECONDS
    for _ in range(_ROUNDS):
        bench.run(_REPEATS)
        if time.perf_counter() > end:
            break
    return bench.least


def _read(found: Any) -> dict[str, float]:
    seconds = {name: float(found["states"][name]) for name in (_EACH, _TWO, _ONE)}
    if not all(0 < value < 1e6 for value in seconds.values()):
        raise ValueError("a value is out of range")
    return seconds
