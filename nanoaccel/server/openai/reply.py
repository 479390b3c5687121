"""A call's completions as one answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nanoaccel.runtime.types.outputs import Completion
from nanoaccel.server.generation.generation import Generation
from nanoaccel.server.http.call import Call
from nanoaccel.server.openai.answers import UsageCount


async def reply(
    call: Call,
    generation: Generation,
    usage: UsageCount,
    *,
    head: dict[str, Any],
    choice: Callable[[Completion, int], dict[str, Any]],
) -> None:
    """Send the completions when they have ended.

    Args:
        call: Who asked.
        generation: The completions.
        usage: Counts their tokens.
        head: Fields that every answer has.
        choice: The choice that tells of a completion, by its index; asked in order.

    Raises:
        ApiError: A completion failed.
    """
    choices = []
    completions = await generation.completions()
    for index, completion in enumerate(completions):
        usage.add(completion, index)
        choices.append(choice(completion, index))
    if call.service.config.log_requests:
        call.log["answer"] = [completion.text for completion in completions]
    await call.reply(
        {**head, "choices": choices, "usage": usage.usage(), "timings": usage.timings()}
    )
