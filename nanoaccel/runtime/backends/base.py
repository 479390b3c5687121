"""What a backend is: a loaded graph, its cache memory, and one call that runs a ragged batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nanoaccel.bundle.long_factors import LongFactors
from nanoaccel.runtime.types.low_rank import LowRankUpdate
from nanoaccel.runtime.types.plan import StepPlan, StepResult

# A running sequence reads a state and writes another; passes are measured with eight sequences.
_LEAST_STATES = 8
_MOST_BLOCKS = 16

Precision: TypeAlias = Literal["auto", "f32"]
CachePrecision: TypeAlias = Literal["auto", "u4", "u8", "f16", "bf16", "f32"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """What a backend is loaded with.

    Args:
        graph: The file of the graph.
        threads: Threads for it; None are those that fit this machine.
        precision: "auto" is what this CPU does fastest, "f32" computes everything in f32.
        cache_precision: Type of cached keys and values; "auto" is the backend's choice.
        weight_group_size: Weights that share a scale, where the bundle says so.
        quantization_group: Values of an activation that are quantized together, 0 none at all; None
            follows the weights. A runtime that cannot choose ignores it.
        fuse_projections: Make one matrix of the projections that read one input, in a graph where
            they are apart, which decodes faster and copies the weights. A runtime that cannot
            ignores it.
        attention_scores: Tell with each step how much attention each cached token drew.
        hidden_layers: Layers, from 0, whose output is told with each step.
        adapters: Prepare the graph for adapters, where that makes a difference to it.
        role: "decode" for what an engine runs, "draft" for what drafts beside it.
        profile: Note what each operator takes, where the backend is an ``OperatorTimer``; slower.
    """

    graph: Path
    threads: int | None = None
    precision: Precision = "auto"
    cache_precision: CachePrecision = "auto"
    weight_group_size: int | None = None
    quantization_group: int | None = None
    fuse_projections: bool = False
    attention_scores: bool = False
    hidden_layers: tuple[int, ...] = ()
    adapters: bool = False
    role: Literal["decode", "draft"] = "decode"
    profile: bool = False


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What differs between backends, so that no code above asks which one it is.

    Args:
        name: As in the registry.
        device: What it runs on, in words.
        vocab_size: Width of a row of logits.
        block_size: Tokens in a cache block.
        bytes_per_block: Memory that one block costs: keys and values of all layers together, and
            a second time where the runtime attends to copies.
        bytes_per_state: Memory of one recurrent state, all layers together; 0 where the graph has
            none.
        cache_precision: Type of the cached numbers.
        threads: Threads that compute.
        cache_layout: All that decides what the bytes of a block mean: runtime and version,
            precisions, shapes. Blocks move only between backends where it is equal.
        own_operators: Whether NanoAccel's operators attend, to the blocks as they are.
        batch_invariant: Whether the logits of a token are the same bits whatever else is in a
            pass, however its text was cut into passes, and wherever its past was computed by the
            same build.
        state_size: Numbers of a token's state; 0 where the graph does not tell it.
        pass_sizes: Tokens of passes that may follow each other at no cost, rising; another size may
            have to be prepared. Empty where all sizes are alike.
        long_factors: How the graph is told which texts are long; None where that makes no
            difference to it.
    """

    name: str
    device: str
    vocab_size: int
    block_size: int
    bytes_per_block: int
    cache_precision: str
    threads: int
    cache_layout: str
    own_operators: bool = False
    batch_invariant: bool = False
    state_size: int = 0
    pass_sizes: tuple[int, ...] = ()
    bytes_per_state: int = 0
    long_factors: LongFactors | None = None

    @property
    def blocks_per_state(self) -> int:
        """Blocks of a prompt for which one recurrent state is kept.

        As many as take its memory, so that neither takes most of the cache, within bounds: the
        tokens behind the last state that is known are computed again.
        """
        return max(1, min(round(self.bytes_per_state / self.bytes_per_block), _MOST_BLOCKS))

    def num_states(self, num_blocks: int) -> int:
        """Recurrent states that are allocated with so many blocks."""
        if self.bytes_per_state == 0:
            return 0
        return _LEAST_STATES + num_blocks // self.blocks_per_state

    def cache_bytes(self, num_blocks: int) -> int:
        """Memory of a cache of so many blocks, with its states."""
        return (
            num_blocks * self.bytes_per_block + self.num_states(num_blocks) * self.bytes_per_state
        )

    def blocks_in(self, memory: int) -> int:
        """Blocks of a cache, with its states, that so many bytes have room for; 0 or more."""
        if self.bytes_per_state == 0:
            return memory // self.bytes_per_block
        group = self.blocks_per_state * self.bytes_per_block + self.bytes_per_state
        left = max(0, memory - _LEAST_STATES * self.bytes_per_state)
        rest = left % group // self.bytes_per_block
        return left // group * self.blocks_per_state + min(rest, self.blocks_per_state - 1)

    def pass_size(self, tokens: int) -> int:
        """The tokens that a short pass is best padded to; beyond the largest size, ``tokens``."""
        return next((size for size in self.pass_sizes if size >= tokens), tokens)


class BackendLoader(Protocol):
    """What is registered under a backend's name: mostly a function."""

    def __call__(self, options: BackendOptions) -> Backend:
        """Load a graph.

        Raises:
            NanoAccelError: It cannot be loaded with these options.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorWork:
    """What one of NanoAccel's operators has to do in a pass.

    Args:
        weights: Bytes of weights that it reads.
        products: Products for each row.
        reads_cache: Whether it reads keys and values, and no weights.
    """

    weights: int = 0
    products: int = 0
    reads_cache: bool = False


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """What an operator of a graph took in some passes together.

    Args:
        name: As the graph names it.
        kind: What it is, in the runtime's words.
        layer: The decoder layer that it belongs to, from 0; None for what stands around them.
        seconds: In all passes.
        calls: Passes in which it ran.
        work: What it has to do, of NanoAccel's own operators; None of the runtime's.
    """

    name: str
    kind: str
    layer: int | None
    seconds: float
    calls: int
    work: OperatorWork | None = None


@runtime_checkable
class OperatorTimer(Protocol):
    """A backend that can tell what its operators take, when it was loaded with ``profile``."""

    def begin_section(self) -> None:
        """Count the passes from now on by themselves."""

    def operator_times(self) -> Sequence[Sequence[OperatorTime]]:
        """Of each section, in the order in which operators run. Asked once, behind the last pass.

        What ran before the first section is left out.
        """

    def looked_up_bytes(self) -> int:
        """Bytes of weights of which a pass reads only a few rows: embeddings."""


@runtime_checkable
class StateHolder(Protocol):
    """A backend whose graph has recurrent states, where ``info.bytes_per_state`` is more than 0."""

    @property
    def state_bytes(self) -> int:
        """Bytes of the content of a state."""

    def read_state(self, slot: int, out: NDArray[np.uint8]) -> None:
        """Copy a state, all layers, into ``out`` u8[state_bytes].

        Another thread may call it during a ``forward`` that does not write to the slot.
        """

    def write_state(self, slot: int, data: NDArray[np.uint8]) -> None:
        """Replace a state by ``data`` u8[state_bytes] that any slot had.

        Another thread may call it during a ``forward`` that does not use the slot.
        """


@runtime_checkable
class AdapterHolder(Protocol):
    """A backend that computes each sequence of a pass with an adapter of its own, or none."""

    @property
    def adaptable(self) -> Mapping[str, tuple[int, int]]:
        """Outputs and inputs of each matrix that an adapter may change.

        By the name of its module in the original, such as ``model.layers.0.self_attn.q_proj``; so
        too where the graph keeps several modules in one matrix.
        """

    def load_adapter(self, slot: int, updates: Mapping[str, LowRankUpdate]) -> None:
        """Put an adapter into a slot, 0 or more, that is free.

        Another thread may call it during a ``forward``. No array of it is kept.

        Args:
            slot: What ``StepPlan.adapters`` calls it by.
            updates: By module; the names are among ``adaptable``, and the shapes fit.
        """

    def unload_adapter(self, slot: int) -> None:
        """Free a slot and its memory.

        Another thread may call it during a ``forward`` that does not use the slot.
        """


class Backend(Protocol):
    """Runs the graph. Not thread-safe: one caller at a time."""

    @property
    def info(self) -> BackendInfo:
        """What this backend is."""

    def allocate_cache(self, num_blocks: int) -> None:
        """Allocate the cache once, before the first ``forward``.

        Where the graph has recurrent states, ``info.num_states(num_blocks)`` of them are allocated
        too, in slots from 1 on, and slot 0 holds the one before the first token.

        Raises:
            ConfigError: It does not fit in memory.
        """

    def forward(self, plan: StepPlan) -> StepResult:
        """Compute a step: write keys and values of all its tokens, give the logits it asks for.

        Sequences are independent; the result for one does not depend on the others beyond
        rounding, and not at all where ``info.batch_invariant``.
        ``plan`` is not changed, and no array of it is kept.
        """

    @property
    def block_bytes(self) -> int:
        """Bytes of the content of a block."""

    def read_block(self, block: int, out: NDArray[np.uint8]) -> None:
        """Copy the content of a block, all layers, into ``out`` u8[block_bytes].

        Another thread may call it during a ``forward`` that does not write to the block.
        """

    def write_block(self, block: int, data: NDArray[np.uint8]) -> None:
        """Replace the content of a block by ``data`` u8[block_bytes] that any block had.

        Another thread may call it during a ``forward`` that does not use the block.
        """

    def close(self) -> None:
        """Free the graph and the cache. Calling it twice is fine."""
