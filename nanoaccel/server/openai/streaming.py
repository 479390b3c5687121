"""A call's completions as events: what comes first, each part, usage, the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.server.generation.generation import Generation
from nanoaccel.server.http.call import Call
from nanoaccel.server.http.fields import Fields
from nanoaccel.server.openai.answers import UsageCount
from nanoaccel.server.openai.progress import told


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Whether and how an answer is streamed.

    Args:
        stream: Whether it is.
        usage: Whether its last part tells the usage.
    """

    stream: bool
    usage: bool

    @classmethod
    def read(cls, fields: Fields) -> StreamOptions:
        """``stream`` and ``stream_options`` of a request.

        Raises:
            ApiError: They are malformed.
        """
        options = Fields(fields.typed("stream_options", dict, {}))
        return cls(fields.typed("stream", bool, False), options.typed("include_usage", bool, False))


async def stream(
    call: Call,
    generation: Generation,
    usage: UsageCount,
    options: StreamOptions,
    *,
    head: dict[str, Any],
    first: Iterable[dict[str, Any]],
    choices: Callable[[Chunk], list[dict[str, Any]]],
) -> None:
    """Send the completions as they are written.

    Args:
        call: Who asked.
        generation: The completions.
        usage: Counts their tokens.
        options: Whether to tell the usage.
        head: Fields that each part has.
        first: Choices of the first parts.
        choices: The choices that tell of a chunk, one to a part.

    Raises:
        ApiError: A completion failed.
    """
    if options.usage:
        head = {**head, "usage": None}
    await call.begin_events()
    await call.events([{**head, "choices": [choice]} for choice in first])
    written = [""] * generation.num_completions
    if call.service.config.log_requests:
        call.log["answer"] = written
    while batch := await generation.next():
        parts = []
        for chunk in batch:
            usage.add(chunk, chunk.index)
            written[chunk.index] += chunk.text
            if chunk.progress is None:
                parts += [{**head, "choices": [choice]} for choice in choices(chunk)]
            elif chunk.index == 0:
                parts.append({**head, "choices": [], **told(chunk.progress)})
        await call.events(parts)
    if options.usage:
        last = {"choices": [], "usage": usage.usage(), "timings": usage.timings()}
        await call.events([{**head, **last}])
    await call.end_events()
