"""``/v1/messages`` and ``/v1/messages/count_tokens``."""

from __future__ import annotations

import uuid
from typing import Any

from nanoaccel.server.anthropic.blocks import BlockWriter
from nanoaccel.server.anthropic.request import read_request
from nanoaccel.server.api_error import bad_request
from nanoaccel.server.chat import ChatRequest, ReplyReader, prepare
from nanoaccel.server.generation.generation import Generation
from nanoaccel.server.http.call import Call
from nanoaccel.server.openai.answers import UsageCount
from nanoaccel.server.openai.running import generation_of, model_for
from nanoaccel.server.replies import read_reply

_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


async def messages(call: Call) -> None:
    """Continue a conversation."""
    if call.fields.raw("max_tokens") is None:
        raise bad_request("max_tokens is missing. Say how long the answer may be", "max_tokens")
    streams = call.fields.typed("stream", bool, False)
    request = await read_request(call.fields, call.service.config.limits)
    async with model_for(call) as model:
        prepared = await prepare(model, request)
        async with generation_of(call, model, prepared.work) as generation:
            answer = _Answer(call, request, model.name, generation)
            await answer.write(prepared.new_reader(), streams=streams)


async def count_tokens(call: Call) -> None:
    """Count the tokens of a conversation, system prompt and tools included."""
    request = await read_request(call.fields, call.service.config.limits)
    async with model_for(call) as model:
        prepared = await prepare(model, request, only_counts=True)
        await call.reply({"input_tokens": sum(map(len, prepared.work.prompts))})


class _Answer:
    """Writes a message, whole or as events.

    Args:
        call: Who asked.
        request: For what.
        model: Name of the model.
        generation: The completion.
    """

    def __init__(
        self, call: Call, request: ChatRequest, model: str, generation: Generation
    ) -> None:
        self._call = call
        self._stops = request.params.stop
        self._model = model
        self._generation = generation
        self._usage = UsageCount(generation, 1, call.log)

    async def write(self, reader: ReplyReader, *, streams: bool) -> None:
        """Answer.

        Args:
            reader: Finds the parts of the completion.
            streams: Whether to send events.

        Raises:
            ApiError: The completion failed.
        """
        call, writer = self._call, BlockWriter()
        if call.service.config.log_requests:
            call.log["answer"] = writer.blocks
        begin = self._message([], None, None)
        if streams:
            await call.begin_events()
            await call.events([{"type": "message_start", "message": begin}])
        stop: str | int | None = None
        async for chunk, parts in read_reply(self._generation, reader, self._usage):
            stop = chunk.stop_reason
            events = writer.write(parts)
            if streams:
                await call.events(events)
        matched = stop if isinstance(stop, str) and stop in self._stops else None
        reason = _REASONS[writer.finish_reason]
        reason = "stop_sequence" if matched is not None and reason == "end_turn" else reason
        if streams:
            delta = {"stop_reason": reason, "stop_sequence": matched}
            await call.events(
                [
                    {"type": "message_delta", "delta": delta, "usage": self._usage_now()},
                    {"type": "message_stop"},
                ]
            )
            await call.end_events()
            return
        message = self._message(writer.blocks, reason, matched)
        await call.reply(message)

    def _message(
        self, blocks: list[dict[str, Any]], reason: str | None, stop: str | None
    ) -> dict[str, Any]:
        return {
            "id": f"msg_{uuid.uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": blocks,
            "stop_reason": reason,
            "stop_sequence": stop,
            "usage": self._usage_now(),
        }

    def _usage_now(self) -> dict[str, int]:
        """Tokens so far; those that were found in the cache are known at the end."""
        usage = self._usage.usage()
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        return {
            "input_tokens": usage["prompt_tokens"] - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": usage["completion_tokens"],
        }
