"""Where requests run: a graph with its cache, and how long its passes take."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.runtime.backends import Backend
from nanoaccel.runtime.execution.pass_time import PassTimeModel
from nanoaccel.runtime.kv import KVCache
from nanoaccel.runtime.scheduling.token_budget import StepBudget
from nanoaccel.runtime.types.packing import even_plan


@dataclass(frozen=True, slots=True)
class ModelRunner:
    """What a step of the engine works with.

    Args:
        backend: Runs the graph; its cache is allocated.
        cache: Keeps account of its blocks.
        times: How long its passes take; learns from each.
        budget: How many tokens a step may have, by these times.
    """

    backend: Backend
    cache: KVCache
    times: PassTimeModel
    budget: StepBudget

    @property
    def cache_bytes(self) -> int:
        """Memory of all blocks and recurrent states."""
        return self.backend.info.cache_bytes(self.cache.num_blocks)

    def warm_up(self) -> None:
        """Run one token, as runtimes prepare much at their first pass; the cache must be empty."""
        self.backend.forward(even_plan([[0]], 0, 1))
