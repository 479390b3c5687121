"""How the memory of a cache is laid out, and the cache that keeps account of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from nanoaccel.runtime.kv.base import KVCache
from nanoaccel.runtime.kv.eviction import EvictionPolicy
from nanoaccel.runtime.kv.paged import PagedCache
from nanoaccel.runtime.kv.slots import SlotCache
from nanoaccel.runtime.kv.tier import BlockMemory, BlockTier, SlotMemory


class CacheOwner(BlockMemory, Protocol):
    """What has the memory: a backend. One with slots is a ``SlotMemory`` too."""

    def allocate_cache(self, num_blocks: int) -> None:
        """Allocate it once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheShape:
    """What a cache has room for.

    Args:
        num_blocks: Blocks that sequences may hold together.
        block_size: Tokens in a block.
        num_slots: Sequences at once at most, where each lies in a slot; None where any block will
            do for any sequence.
        slot_blocks: Blocks of the longest sequence.
        length: Tokens of the longest sequence.
    """

    num_blocks: int
    block_size: int
    num_slots: int | None
    slot_blocks: int
    length: int

    @classmethod
    def of(
        cls, *, num_blocks: int, block_size: int, slots: bool, sequences: int, length: int
    ) -> CacheShape:
        """The shape for some sequences at once, none longer than ``length`` tokens."""
        longest = min(num_blocks, -(-length // block_size))
        return cls(
            num_blocks=num_blocks,
            block_size=block_size,
            num_slots=sequences if slots else None,
            slot_blocks=longest,
            length=length,
        )

    @property
    def first_tokens(self) -> int:
        """Tokens of the longest sequence that blocks from number 0 on hold, by itself."""
        blocks = self.num_blocks if self.num_slots is None else self.slot_blocks
        return min(blocks * self.block_size, self.length)

    def allocate(self, owner: CacheOwner) -> None:
        """Let a backend allocate it.

        Raises:
            ConfigError: It does not fit in memory.
        """
        if self.num_slots is None:
            owner.allocate_cache(self.num_blocks)
        else:
            cast(SlotMemory, owner).allocate_slots(self.num_slots, self.slot_blocks)


def make_cache(
    shape: CacheShape,
    memory: BlockMemory,
    *,
    policy: EvictionPolicy | None = None,
    tier: BlockTier | None = None,
    sharing: bool = True,
) -> KVCache:
    """The cache that keeps account of a backend's memory.

    Args:
        shape: Layout of the memory.
        memory: What the backend is to it.
        policy: Chooses the cached block that goes first; least recently used by default.
        tier: Where cold blocks go.
        sharing: Whether sequences find what others computed.
    """
    if shape.num_slots is None:
        return PagedCache(
            shape.num_blocks, shape.block_size, policy=policy, tier=tier, sharing=sharing
        )
    return SlotCache(
        shape.num_blocks,
        shape.block_size,
        num_slots=shape.num_slots,
        slot_blocks=shape.slot_blocks,
        memory=cast(SlotMemory, memory),
        policy=policy,
        tier=tier,
        sharing=sharing,
    )
