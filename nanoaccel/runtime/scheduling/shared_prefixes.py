"""Whether a request had better wait for what others are about to compute."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.runtime.kv import KVCache
from nanoaccel.runtime.kv.base import num_common
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.scheduling.scheduled_tokens import ScheduledTokens


def gains_by_waiting(
    request: Request, chunks: Sequence[ScheduledTokens], cache: KVCache, most: int
) -> bool:
    """Whether a step computes tokens that a request could take from the cache in the next one, at
    least half a block more than it would find now.

    Each time, more of its own prefix has been computed: it cannot wait for ever.

    Args:
        request: It waits for its first step.
        chunks: What the step computes.
        cache: Where they end up.
        most: Tokens that the request may find.
    """
    size = cache.block_size
    tokens = request.tokens(0, most)
    shared = 0
    for chunk in chunks:
        end = min(chunk.end // size * size, most)  # full blocks can be found
        other = chunk.request
        if chunk.start < end and other.num_evicted == 0 and other.prefix_key == request.prefix_key:
            common = num_common(other.tokens(0, end), tokens)
            common -= common % cache.granularity
            if common > chunk.start:
                shared = max(shared, common)
    return shared > 0 and shared - cache.findable(tokens, request.prefix_key) >= size / 2
