"""``/v1/responses`` and ``/v1/responses/input_tokens``."""

from __future__ import annotations

from typing import Any

from nanoaccel.errors import NanoAccelError
from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.server.api_error import ApiError, api_error
from nanoaccel.server.chat import ChatRequest, Reasoning, ReplyReader, prepare
from nanoaccel.server.generation.generation import Generation
from nanoaccel.server.http.call import Call
from nanoaccel.server.models.model import Model
from nanoaccel.server.openai.answers import UsageCount
from nanoaccel.server.openai.logprobs import chat_logprobs
from nanoaccel.server.openai.running import generation_of, model_for
from nanoaccel.server.replies import read_reply
from nanoaccel.server.responses.output import OutputWriter
from nanoaccel.server.responses.request import read_request
from nanoaccel.server.responses.response import ResponseObject, usage_of


async def responses(call: Call) -> None:
    """Answer an input."""
    streams = call.fields.typed("stream", bool, False)
    request = await read_request(call.fields, call.service.config.limits)
    async with model_for(call) as model:
        response = ResponseObject(call.fields, model.name)
        prepared = await prepare(model, request)
        async with generation_of(call, model, prepared.work) as generation:
            answer = _Answer(call, request, model, generation)
            write = answer.stream if streams else answer.reply
            await write(response, prepared.new_reader())


async def count_input_tokens(call: Call) -> None:
    """Count the tokens of an input, instructions and tools included."""
    request = await read_request(call.fields, call.service.config.limits)
    async with model_for(call) as model:
        prepared = await prepare(model, request, only_counts=True)
        count = sum(map(len, prepared.work.prompts))
        await call.reply({"object": "response.input_tokens", "input_tokens": count})


class _Answer:
    """Writes a response, whole or as events.

    Args:
        call: Who asked.
        request: For what.
        model: Who answers.
        generation: The completion.
    """

    def __init__(
        self, call: Call, request: ChatRequest, model: Model, generation: Generation
    ) -> None:
        self._call = call
        self._texts = model.token_texts
        self._wants_logprobs = request.params.logprobs is not None
        self._generation = generation
        self._usage = UsageCount(generation, 1, call.log)
        self._writer = OutputWriter()
        self._reasoning_tokens = 0
        if call.service.config.log_requests:
            call.log["answer"] = self._writer.items

    async def reply(self, response: ResponseObject, reader: ReplyReader) -> None:
        """Answer with the whole response.

        Raises:
            ApiError: The completion failed.
        """
        async for chunk, parts in read_reply(self._generation, reader, self._usage):
            self._write(chunk, parts)
        await self._call.reply(self._ended(response))

    async def stream(self, response: ResponseObject, reader: ReplyReader) -> None:
        """Answer with events, of which the last one is the whole response, or how it failed."""
        call = self._call
        await call.begin_events()
        await call.events(
            {"type": f"response.{kind}", "response": response.begun()}
            for kind in ("created", "in_progress")
        )
        try:
            async for chunk, parts in read_reply(self._generation, reader, self._usage):
                await call.events(self._write(chunk, parts))
        except (ApiError, NanoAccelError) as error:
            told = api_error(error)
            call.log.update(error=told.message)
            last = response.failed(self._writer, told)
        else:
            last = self._ended(response)
        await call.events([{"type": f"response.{last['status']}", "response": last}])
        await call.end_events()

    def _write(self, chunk: Chunk, parts: list[Any]) -> list[dict[str, Any]]:
        if parts and isinstance(parts[0], Reasoning):
            self._reasoning_tokens += len(chunk.token_ids)
        logprobs = []
        if self._wants_logprobs:
            logprobs = chat_logprobs(chunk.logprobs, self._texts)["content"]
        return self._writer.write(parts, logprobs)

    def _ended(self, response: ResponseObject) -> dict[str, Any]:
        return response.ended(self._writer, usage_of(self._usage, self._reasoning_tokens))
