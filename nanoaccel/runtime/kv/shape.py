"""What a cache has room for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nanoaccel.runtime.kv.block_pool import BlockId
from nanoaccel.runtime.kv.eviction import EvictionPolicy
from nanoaccel.runtime.kv.paged import PagedCache
from nanoaccel.runtime.kv.tier import BlockTier


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheShape:
    """What a cache has room for.

    Args:
        num_blocks: Blocks that sequences may hold together.
        block_size: Tokens in a block.
        length: Tokens of the longest sequence.
        num_states: Recurrent states; 0 for a model without.
        state_interval: Tokens between two of them that are kept of a prompt.
    """

    num_blocks: int
    block_size: int
    length: int
    num_states: int = 0
    state_interval: int = 0

    @property
    def first_tokens(self) -> int:
        """Tokens of the longest sequence that blocks from number 0 on hold, by itself."""
        return min(self.num_blocks * self.block_size, self.length)

    def new_cache(
        self,
        *,
        policy: EvictionPolicy | None = None,
        tier: BlockTier | None = None,
        state_tier: BlockTier | None = None,
        every_state: bool = True,
        sharing: bool = True,
        copy: Callable[[BlockId, BlockId], None] | None = None,
    ) -> PagedCache:
        """An empty cache; arguments as for ``PagedCache``."""
        return PagedCache(
            self.num_blocks,
            self.block_size,
            num_states=self.num_states,
            state_interval=self.state_interval,
            every_state=every_state,
            policy=policy,
            tier=tier,
            state_tier=state_tier,
            sharing=sharing,
            copy=copy,
        )
