"""What a pass of each runtime costs by its tokens."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks.harness.figures import table
from nanoaccel.bundle import Bundle
from nanoaccel.runtime.backends import Backend
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.execution.loader import CacheSize, LoadedModel, load
from nanoaccel.runtime.types.packing import even_plan
from nanoaccel.runtime.types.plan import StepPlan

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_SEQUENCES, _PAST = 16, 256
_CACHE = CacheSize(lambda _: 16 * _SEQUENCES, length=512)
# A plan is named by its runtime, its sequences and the tokens of each.
Plans = dict[tuple[str, int, int], tuple[Backend, StepPlan]]


def curves(folder: Path, rounds: int) -> str:
    """Milliseconds of a pass by its tokens, of one sequence and of as many.

    Args:
        folder: A bundle.
        rounds: Interleaved runs of each pass; the least time counts.
    """
    bundle = Bundle.open(folder)
    plans: Plans = {}
    for runtime in bundle.runtimes:
        plans |= _plans(load(bundle, runtime, EngineConfig(), _CACHE))
    least = dict.fromkeys(plans, float("inf"))
    for _ in range(rounds):
        for key, (backend, plan) in plans.items():
            for _ in range(3):
                begin = time.perf_counter()
                backend.forward(plan)
                least[key] = min(least[key], time.perf_counter() - begin)
    rows = []
    for count in SIZES:
        cells = [str(count)]
        for shape in ((1, count), (count, 1)):
            for runtime in bundle.runtimes:
                seconds = least.get((runtime, *shape))
                cells.append("" if seconds is None else f"{1e3 * seconds:.1f}")
        rows.append(cells)
    header = ["tokens"]
    for what in ("of one sequence", "one of each sequence"):
        header += [f"{runtime}, {what}" for runtime in bundle.runtimes]
    return table(header, rows)


def _plans(model: LoadedModel) -> Plans:
    """All passes of a graph."""
    backend, shape, name = model.backend, model.shape, model.name
    cache = shape.new_cache(sharing=False)
    blocks = []
    for sequence in range(_SEQUENCES):
        cache.allocate(sequence, _PAST + max(SIZES))
        out = np.empty(shape.num_blocks, np.int32)
        blocks.append(out[: cache.block_ids(sequence, _PAST + max(SIZES), out)].tolist())
    plans: Plans = {}
    for count in SIZES:
        plans[name, 1, count] = backend, even_plan(blocks[:1], _PAST, count)
        if count <= _SEQUENCES:
            plans[name, count, 1] = backend, even_plan(blocks[:count], _PAST, 1)
    return plans
