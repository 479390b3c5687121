"""Gives requests what a pass computed for tokens of their prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nanoaccel.runtime.scheduling.scheduled_tokens import ScheduledTokens
from nanoaccel.runtime.types.plan import StepResult


def read_prompts(
    chunks: Sequence[ScheduledTokens],
    result: StepResult,
    fail: Callable[[ScheduledTokens, Exception], None],
) -> bool:
    """Let requests read the rows of logits and the states that they want of their prompts.

    Args:
        chunks: Chunks of a pass.
        result: What it gave.
        fail: Ends a request that cannot read them.

    Returns:
        Whether there was any.
    """
    if not any(chunk.reads for chunk in chunks):
        return False
    row = token = 0
    for chunk in chunks:
        request = chunk.request
        end = token + chunk.end - chunk.start
        try:
            if request.scorer is not None:
                request.scorer.read(result.logits[row : row + chunk.scored])
            if request.pooler is not None and chunk.pooled > 0:
                assert result.states is not None, "the plan wants them"
                request.pooler.read(result.states[end - chunk.pooled : end])
                request.embedding = request.pooler.embedding()
        except Exception as error:
            fail(chunk, error)
        row += chunk.num_rows
        token += chunk.last - chunk.start
    return True
