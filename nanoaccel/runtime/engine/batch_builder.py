"""Makes the plan of a step from what was scheduled."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.runtime.kv import KVCache
from nanoaccel.runtime.scheduling.scheduled_tokens import ScheduledTokens
from nanoaccel.runtime.types.packing import SequenceTokens, StepPacker
from nanoaccel.runtime.types.plan import StepPlan


class BatchBuilder:
    """Packs the chunks of each step into arrays that all steps share."""

    def __init__(self) -> None:
        self._packer = StepPacker()

    def assemble(
        self, chunks: Sequence[ScheduledTokens], cache: KVCache, pad_to: int = 0
    ) -> StepPlan:
        """Pack chunks, in order, into one ragged batch, with the rows of logits that they read.

        The plan is valid until the next call.

        Args:
            chunks: Chunks of different requests.
            cache: Has room for them.
            pad_to: As in the plan.
        """
        states = any(chunk.pooled for chunk in chunks)
        return self._packer.pack(
            [_tokens_of(chunk) for chunk in chunks], cache, pad_to, states=states
        )


def _tokens_of(chunk: ScheduledTokens) -> SequenceTokens:
    request, start = chunk.request, chunk.start
    return SequenceTokens(
        request.id,
        request.tokens(start, chunk.end),
        start + request.rotation.shift(request.num_known),
        start - request.num_evicted,
        chunk.num_rows,
        chunk.first_row,
        chunk.drafts,
        adapter=request.adapter_slot,
    )
