"""Where requests run: a graph with its cache, and what passes cost there."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.runtime.backends import Backend
from nanoaccel.runtime.execution.pass_time import PassCost
from nanoaccel.runtime.execution.step_time import StepCost
from nanoaccel.runtime.kv import KVCache
from nanoaccel.runtime.scheduling.token_budget import StepBudget
from nanoaccel.runtime.types.packing import even_plan


@dataclass(frozen=True, slots=True)
class ModelRunner:
    """What a step of the engine works with.

    Args:
        backend: Runs the graph; its cache is allocated.
        cache: Whose block is whose in it.
        pass_cost: Learns what a pass costs.
        budget: How many tokens a step may have, by that.
        step_cost: What a pass costs when all its tokens have logits; for guesses.
    """

    backend: Backend
    cache: KVCache
    pass_cost: PassCost
    budget: StepBudget
    step_cost: StepCost

    @property
    def cache_bytes(self) -> int:
        """Memory of all blocks."""
        return self.cache.num_blocks * self.backend.info.bytes_per_block

    def warm_up(self) -> None:
        """Run one token, as runtimes prepare much at their first pass; the cache must be empty."""
        self.backend.forward(even_plan([[0]], 0, 1))
