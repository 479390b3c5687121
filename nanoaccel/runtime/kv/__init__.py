"""Where keys and values live: blocks, who owns them, and how much memory they take."""

from nanoaccel.runtime.kv.block_pool import BlockId, BlockPool
from nanoaccel.runtime.kv.paged import PagedCache

__all__ = ["BlockId", "BlockPool", "PagedCache"]
