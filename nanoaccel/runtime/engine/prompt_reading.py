"""Gives requests what a pass computed for tokens of their prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nanoaccel.runtime.scheduling.scheduler import ScheduledTokens
from nanoaccel.runtime.types.plan import StepResult


def read_prompts(
    chunks: Sequence[ScheduledTokens],
    result: StepResult,
    fail: Callable[[ScheduledTokens, Exception], None],
) -> None:
    """Let requests that score their prompt read its rows; the rows themselves are not kept.

    Args:
        chunks: Chunks of a pass.
        result: What it gave.
        fail: Ends a request whose rows cannot be read.
    """
    row = 0
    for chunk in chunks:
        scorer = chunk.request.scorer
        rows, row = result.logits[row : row + chunk.scored], row + chunk.num_rows
        if scorer is None or chunk.scored == 0:
            continue
        try:
            scorer.read(rows)
        except Exception as error:
            fail(chunk, error)
