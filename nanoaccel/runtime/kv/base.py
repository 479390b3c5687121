"""What a cache promises to the scheduler and the engine, whatever its memory looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.types.packing import StateSteps
from nanoaccel.runtime.types.plan import Int32Array, Int64Array

TOKEN_BYTES = 4

Tokens = NDArray[np.integer]


@dataclass(slots=True)
class CacheStats:
    """What the cache has done so far; it only grows.

    Args:
        queried_tokens: Known tokens of the sequences that were admitted.
        hit_tokens: Those found in memory.
        restored_tokens: Those loaded from the tier.
        evictions: Cached blocks whose content was lost from memory for want of room.
        saved_blocks: Blocks that the tier took.
    """

    queried_tokens: int = 0
    hit_tokens: int = 0
    restored_tokens: int = 0
    evictions: int = 0
    saved_blocks: int = 0


class KVCache(Protocol):
    """Which blocks each sequence holds, and which contents can be found again.

    It keeps numbers; the memory belongs to the backend. A block is free, held by sequences, or
    cached: nobody holds it, but the next sequence that begins the same finds what it holds. Only
    full blocks whose tokens are computed and verified are ever found.

    Attributes:
        num_blocks: Blocks that sequences may hold together.
        block_size: Tokens in a block.
        granularity: What is found of a prefix is a multiple of so many tokens: a block of them,
            or 1 where a sequence can begin its first own block with a copy.
        num_states: Recurrent states; 0 for models without.
        stats: What it has done.
    """

    num_blocks: int
    block_size: int
    granularity: int
    num_states: int
    stats: CacheStats

    @property
    def num_free(self) -> int:
        """Blocks that can be had now: free or cached."""

    @property
    def num_cached(self) -> int:
        """Blocks that nobody holds and whose content can be found."""

    @property
    def num_free_states(self) -> int:
        """Recurrent states that can be had now: free or cached."""

    @property
    def num_cached_states(self) -> int:
        """Recurrent states that can be found."""

    def blocks_for(self, length: int) -> int:
        """Blocks that ``length`` tokens need."""

    def admit(
        self,
        sequence: int,
        tokens: Int64Array,
        reserve: int,
        *,
        need: int | None = None,
        most: int | None = None,
        key: bytes = b"",
    ) -> int | None:
        """Begin a sequence with the longest prefix of it that is cached, in memory or the tier.

        At least one token is left to compute, since the next token comes from its logits.

        Args:
            sequence: A number that holds nothing yet.
            tokens: i64[n], all known tokens of it.
            reserve: Blocks that must be left over for others.
            need: Blocks that it will ever hold at once, 1 or more, when that is less than all its
                tokens take; what is found leaves one of them for the next tokens.
            most: Tokens that may be found at most; None for all but the last.
            key: What the keys of its blocks begin with: only sequences with the same key find each
                other's blocks.

        Returns:
            How many tokens need not be computed, a multiple of ``granularity``. None, with nothing
            changed, when the blocks for all its tokens, one more, and the reserve cannot be had.
        """

    def findable(self, tokens: Int64Array, key: bytes) -> int:
        """How many tokens in memory a sequence of ``tokens`` i64[n] with this key would find."""

    def allocate(self, sequence: int, length: int, drafts: int = 0) -> bool:
        """Make room for the first ``length`` tokens that a sequence holds (dropped ones are not).

        Args:
            sequence: The sequence.
            length: Tokens that it holds behind its next pass.
            drafts: How many of them are draft tokens, which may be refused.

        Returns:
            False when too little can be had; what was allocated before stays.
        """

    def commit(self, sequence: int, tokens: Int64Array) -> int:
        """Take what a pass computed: let the blocks that are full by now be found by others.

        Ask for ``block_ids`` again afterwards.

        Args:
            sequence: The sequence; one that has dropped blocks shares no more of them.
            tokens: i64[n], its computed and verified tokens from its start.

        Returns:
            How many of them it goes on from: all, but for accepted draft tokens of a model with
            recurrent states, when none was kept behind the last of them.
        """

    def block_ids(self, sequence: int, length: int, out: Int32Array) -> int:
        """Write the blocks that hold the first ``length`` tokens into ``out`` i32[n or more].

        Returns:
            How many blocks that are.
        """

    def state_steps(self, sequence: int, length: int) -> StateSteps | None:
        """The recurrent states that a pass reads and writes whose end was allocated, or trimmed.

        Args:
            sequence: The sequence.
            length: Tokens that it holds behind the pass.
        """

    def trim(self, sequence: int, length: int) -> None:
        """Give back the blocks behind those of the first ``length`` tokens: room for drafts."""

    def drop(self, sequence: int, indices: Sequence[int]) -> None:
        """Forget the blocks at some indices of what a sequence holds; the others close up.

        What it holds from then on is not its prefix, so no more of it can be found.
        """

    def free(self, sequence: int) -> None:
        """Let go of all blocks of a sequence; one that holds none is fine."""

    def save_all(self) -> None:
        """Hand all cached blocks to the tier that it has not, and wait until they are there."""

    def clear(self) -> None:
        """Forget all cached blocks."""

    def check_integrity(self) -> None:
        """Assert that every block is accounted for, and that all counts agree."""


def admission(known: int, block_size: int, need: int | None, most: int) -> tuple[int, int]:
    """Blocks that a sequence begins with, and how many of them may be found in the cache.

    Args:
        known: Its tokens; a token more must fit.
        block_size: Tokens in a block.
        need: Blocks that it will ever hold at once; None for as many as its tokens take.
        most: Tokens that may be found.
    """
    wanted, reusable = -(-(known + 1) // block_size), most // block_size
    return (wanted, reusable) if need is None else (min(wanted, need), min(reusable, need - 1))


def num_common(some: Tokens, others: Tokens) -> int:
    """Tokens with which both begin."""
    most = min(len(some), len(others))
    differ = np.flatnonzero(some[:most] != others[:most])
    return int(differ[0]) if len(differ) > 0 else most


def as_bytes(tokens: Int64Array) -> bytes:
    """Tokens as the keys of blocks are made of them: little-endian i32."""
    return tokens.astype("<i4").tobytes()
