"""Finds the requests that a pass through the graph fails for, so that the others go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from nanoaccel.errors import NanoAccelError
from nanoaccel.runtime.kv import KVCache
from nanoaccel.runtime.scheduling.scheduled_tokens import ScheduledTokens

_log = logging.getLogger("nanoaccel.engine")


def isolate(
    chunks: Sequence[ScheduledTokens],
    error: Exception,
    run: Callable[[Sequence[ScheduledTokens]], Exception | None],
    fail: Callable[[ScheduledTokens, Exception], None],
) -> None:
    """Run chunks again, in halves of halves until what fails is alone.

    A failure that does not come again hurts nobody. Where every pass fails, n chunks take at most
    2n passes.

    Args:
        chunks: Chunks of a pass that failed.
        error: What it failed with.
        run: Runs some of them; what that failed with, or None.
        fail: Is given each chunk that failed alone, in a second run.
    """
    _log.warning("a pass with %d requests failed and is run again: %r", len(chunks), error)
    half = -(-len(chunks) // 2)
    left = [chunks[half:], chunks[:half]]
    while left:
        part = left.pop()
        failure = run(part) if part else None
        if failure is None:
            continue
        if len(part) == 1:
            fail(part[0], failure)
            continue
        half = -(-len(part) // 2)
        left += [part[half:], part[:half]]


def without_drafts(chunks: Sequence[ScheduledTokens], cache: KVCache) -> list[ScheduledTokens]:
    """The chunks of a pass whose requests go on, as they are run again.

    Args:
        chunks: Chunks of the pass.
        cache: Gives up the room that it had for draft tokens.
    """
    live = [chunk for chunk in chunks if chunk.request.finish_reason is None]
    for chunk in live:
        if chunk.drafts:
            cache.trim(chunk.request.id, chunk.end - chunk.request.num_evicted)
    return [replace(chunk, drafts=()) for chunk in live]


def in_words(error: BaseException) -> str:
    """What a request that failed is told of an error; the kind of one that is not ours too."""
    return str(error) if isinstance(error, NanoAccelError) else f"{type(error).__name__}: {error}"
