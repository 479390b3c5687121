"""The one completion of a chat, read into its parts as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.server.chat import Part, ReplyReader
from nanoaccel.server.generation.generation import Generation
from nanoaccel.server.openai.answers import UsageCount, finish_reason


async def read_reply(
    generation: Generation, reader: ReplyReader, usage: UsageCount
) -> AsyncIterator[tuple[Chunk, list[Part]]]:
    """Each chunk of a completion, with the parts that it makes certain.

    Args:
        generation: Has one completion.
        reader: Finds its parts.
        usage: Counts its tokens.

    Raises:
        ApiError: The completion failed.
    """
    while batch := await generation.next():
        for chunk in batch:
            usage.add(chunk, chunk.index)
            reason = finish_reason(chunk)
            parts = reader.feed(chunk.text)
            yield chunk, parts if reason is None else parts + reader.end(reason)
