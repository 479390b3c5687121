"""Where keys and values live: blocks, who owns them, and which of them can be found again."""

from nanoaccel.runtime.kv.attention_scores import AttentionScores
from nanoaccel.runtime.kv.base import CacheStats, KVCache
from nanoaccel.runtime.kv.block_copies import BlockCopies
from nanoaccel.runtime.kv.block_pool import BlockId
from nanoaccel.runtime.kv.disk_tier import DiskTier
from nanoaccel.runtime.kv.eviction import EvictionPolicy
from nanoaccel.runtime.kv.paged import PagedCache
from nanoaccel.runtime.kv.shape import CacheShape
from nanoaccel.runtime.kv.tier import BlockMemory, BlockTier
from nanoaccel.runtime.kv.token_eviction import CacheEviction, blocks_to_drop

__all__ = [
    "AttentionScores",
    "BlockCopies",
    "BlockId",
    "BlockMemory",
    "BlockTier",
    "CacheEviction",
    "CacheShape",
    "CacheStats",
    "DiskTier",
    "EvictionPolicy",
    "KVCache",
    "PagedCache",
    "blocks_to_drop",
]
