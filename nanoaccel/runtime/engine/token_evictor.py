"""Drops what requests with a bound of their own hold too much of."""

from __future__ import annotations

from nanoaccel.runtime.kv import AttentionScores, KVCache, blocks_to_drop
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.types.plan import Scores


class TokenEvictor:
    """Keeps requests with a ``CacheEviction`` within it.

    Args:
        block_size: Tokens in a block.

    Attributes:
        scores: Attention that each block drew, of requests that evict by score.
    """

    def __init__(self, block_size: int) -> None:
        self.scores = AttentionScores(block_size)

    def evict(
        self, request: Request, cache: KVCache, scores: Scores | None, *, restarted: bool
    ) -> None:
        """Drop blocks of a request that holds as much as it may.

        Args:
            request: One with ``eviction``, after a pass.
            cache: Holds its blocks.
            scores: [N], what its N tokens in the cache drew in the pass; None without scores.
            restarted: Whether the pass computed the request from its start.
        """
        assert request.eviction is not None
        if scores is not None and request.eviction.by == "score":
            if restarted:  # its former scores count what was given up
                self.scores.forget(request.id)
            self.scores.add(request.id, scores)
        if request.chunk_limit == 0:
            indices = blocks_to_drop(
                request.eviction,
                cache.blocks_for(request.num_cached),
                cache.block_size,
                self.scores.of(request.id),
            )
            cache.drop(request.id, indices)
            self.scores.drop(request.id, indices)
            request.num_evicted += len(indices) * cache.block_size

    def forget(self, request_id: int) -> None:
        """Forget a request that has ended."""
        self.scores.forget(request_id)
