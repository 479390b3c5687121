"""Packs the chunks of a step into arrays that every step reuses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nanoaccel.runtime.kv import KVCache
from nanoaccel.runtime.scheduling.scheduler import ScheduledTokens
from nanoaccel.runtime.types.plan import StepPlan


class BatchBuilder:
    """The arrays behind a ``StepPlan``; they grow when a step needs more, and never shrink."""

    def __init__(self) -> None:
        self._token_ids = np.empty(0, np.int64)
        self._positions = np.empty(0, np.int64)
        self._ramp = np.empty(0, np.int64)
        self._logits_rows = np.empty(0, np.int64)
        self._past_lens = np.empty(0, np.int32)
        self._seq_begins = np.zeros(1, np.int32)
        self._block_begins = np.zeros(1, np.int32)
        self._block_ids = np.empty(0, np.int32)

    def assemble(
        self, chunks: Sequence[ScheduledTokens], cache: KVCache, pad_to: int = 0
    ) -> StepPlan:
        """Pack chunks, in order, into one ragged batch; those that complete get rows of logits.

        The plan is valid until the next call.

        Args:
            chunks: Of different requests.
            cache: Has room for them.
            pad_to: As in the plan.
        """
        self._reserve(chunks, cache)
        token = block = row = 0
        for place, chunk in enumerate(chunks):
            request, start, end = chunk.request, chunk.start, chunk.last
            until = token + end - start
            guessed = until - len(chunk.drafts)
            self._token_ids[token:guessed] = request.tokens(start, chunk.end)
            self._token_ids[guessed:until] = chunk.drafts
            self._positions[token:until] = self._ramp[start:end]
            self._past_lens[place] = start - request.num_evicted
            length = end - request.num_evicted
            block += cache.block_ids(request.id, length, self._block_ids[block:])
            token = until
            self._seq_begins[place + 1] = token
            self._block_begins[place + 1] = block
            rows = chunk.num_rows
            self._logits_rows[row : row + rows] = self._ramp[token - rows : token]
            row += rows
        count = len(chunks)
        return StepPlan(
            token_ids=self._token_ids[:token],
            positions=self._positions[:token],
            seq_begins=self._seq_begins[: count + 1],
            past_lens=self._past_lens[:count],
            block_ids=self._block_ids[:block],
            block_begins=self._block_begins[: count + 1],
            logits_rows=self._logits_rows[:row],
            pad_to=pad_to,
        )

    def _reserve(self, chunks: Sequence[ScheduledTokens], cache: KVCache) -> None:
        tokens = sum(chunk.last - chunk.start for chunk in chunks)
        blocks = sum(cache.blocks_for(chunk.last - chunk.request.num_evicted) for chunk in chunks)
        longest = max(tokens, *(chunk.last for chunk in chunks))
        if tokens > self._token_ids.size:
            self._token_ids = np.empty(_grown(tokens), np.int64)
            self._positions = np.empty(_grown(tokens), np.int64)
            self._logits_rows = np.empty(_grown(tokens), np.int64)
        if longest > self._ramp.size:
            self._ramp = np.arange(_grown(longest), dtype=np.int64)
        if blocks > self._block_ids.size:
            self._block_ids = np.empty(_grown(blocks), np.int32)
        if len(chunks) > self._past_lens.size:
            size = _grown(len(chunks))
            self._past_lens = np.empty(size, np.int32)
            self._seq_begins = np.zeros(size + 1, np.int32)
            self._block_begins = np.zeros(size + 1, np.int32)


def _grown(size: int) -> int:
    """The next power of two."""
    return 1 << (size - 1).bit_length()
