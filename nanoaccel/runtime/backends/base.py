"""What a backend is: a loaded graph, its cache memory, and one call that runs a ragged batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from nanoaccel.runtime.plan import StepPlan, StepResult

Precision: TypeAlias = Literal["auto", "f32"]
CachePrecision: TypeAlias = Literal["auto", "u8", "f16", "bf16", "f32"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """What a backend is loaded with.

    Args:
        graph: The file of the graph.
        threads: Threads for it; None lets the runtime choose.
        precision: "auto" is what this CPU does fastest, "f32" computes everything in f32.
        cache_precision: Type of cached keys and values; "auto" is the runtime's choice.
        weight_group_size: Weights that share a scale, where the bundle says so.
    """

    graph: Path
    threads: int | None = None
    precision: Precision = "auto"
    cache_precision: CachePrecision = "auto"
    weight_group_size: int | None = None


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What differs between backends, so that no code above asks which one it is.

    Args:
        name: As in the registry.
        device: What it runs on, in words.
        vocab_size: Width of a row of logits.
        block_size: Tokens in a cache block.
        bytes_per_block: Memory of one block, keys and values of all layers together.
        cache_precision: Type of the cached numbers.
        threads: Threads that compute.
    """

    name: str
    device: str
    vocab_size: int
    block_size: int
    bytes_per_block: int
    cache_precision: str
    threads: int


class Backend(Protocol):
    """Runs the graph. Not thread-safe: one caller at a time."""

    @property
    def info(self) -> BackendInfo:
        """What this backend is."""

    def allocate_cache(self, num_blocks: int) -> None:
        """Allocate the cache once, before the first ``forward``.

        Raises:
            ConfigError: It does not fit in memory.
        """

    def forward(self, plan: StepPlan) -> StepResult:
        """Compute a step: write keys and values of all its tokens, give the logits it asks for.

        Sequences are independent; the result for one does not depend on the others beyond
        rounding. ``plan`` is not changed.
        """

    def close(self) -> None:
        """Free the graph and the cache. Calling it twice is fine."""
