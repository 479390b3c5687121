"""``/v1/chat/completions``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nanoaccel.runtime.types.outputs import Chunk, Completion
from nanoaccel.server.api_error import bad_request
from nanoaccel.server.chat import (
    CallArguments,
    CallBegin,
    ChatRequest,
    Content,
    End,
    Part,
    Reasoning,
    Reply,
    ReplyReader,
    prepare,
)
from nanoaccel.server.config import Limits
from nanoaccel.server.http.call import Call
from nanoaccel.server.http.fields import Fields
from nanoaccel.server.models.model import Model
from nanoaccel.server.openai.answers import UsageCount, envelope, finish_reason
from nanoaccel.server.openai.logprobs import chat_logprobs
from nanoaccel.server.openai.messages import read_chat_options, read_messages
from nanoaccel.server.openai.reply import reply
from nanoaccel.server.openai.running import generation_of, model_for
from nanoaccel.server.openai.sampling import read_options, read_sampling, read_top_logprobs
from nanoaccel.server.openai.streaming import StreamOptions, stream
from nanoaccel.server.openai.structured import with_grammar
from nanoaccel.server.openai.tools import read_parallel, read_tool_choice, read_tools


async def chat_completions(call: Call) -> None:
    """Continue a chat."""
    streaming = StreamOptions.read(call.fields)
    request = await _read_request(call.fields, call.service.config.limits)
    async with model_for(call) as model:
        prepared = await prepare(model, request)
        async with generation_of(call, model, prepared.work) as generation:
            usage = UsageCount(generation, request.params.n, call.log)
            wants_logprobs = request.params.logprobs is not None
            answer = _ChatAnswer(model, prepared.readers, wants_logprobs=wants_logprobs)
            if streaming.stream:
                await stream(
                    call,
                    generation,
                    usage,
                    streaming,
                    head=envelope("chatcmpl", "chat.completion.chunk", model.name),
                    first=[answer.first(index) for index in range(request.params.n)],
                    choices=answer.parts,
                )
            else:
                head = envelope("chatcmpl", "chat.completion", model.name)
                await reply(call, generation, usage, head=head, choice=answer.choice)


async def _read_request(fields: Fields, limits: Limits) -> ChatRequest:
    params = read_sampling(fields, limits, max_tokens=None, logprobs=_logprobs(fields))
    params = await with_grammar(params, fields)
    tools = read_tools(fields, limits)
    return ChatRequest(
        messages=read_messages(fields, limits),
        params=params,
        chat=read_chat_options(fields),
        options=read_options(fields, tells_progress=True),
        tools=tools,
        tool_choice=read_tool_choice(fields),
        parallel_tool_calls=read_parallel(fields),
    )


def _logprobs(fields: Fields) -> int | None:
    top = read_top_logprobs(fields, "top_logprobs")
    if fields.typed("logprobs", bool, False):
        return top
    if top > 0:
        raise bad_request("top_logprobs needs logprobs=true", "top_logprobs")
    return None


class _ChatAnswer:
    """Writes choices of a chat.

    Args:
        model: Who answers.
        readers: One for each choice.
        wants_logprobs: Whether choices tell log-probabilities.
    """

    def __init__(
        self, model: Model, readers: Sequence[ReplyReader], *, wants_logprobs: bool
    ) -> None:
        self._texts = model.token_texts
        self._readers = readers
        self._wants_logprobs = wants_logprobs

    def choice(self, completion: Completion, index: int) -> dict[str, Any]:
        """A whole choice."""
        reader, reason = self._readers[index], finish_reason(completion)
        assert reason is not None
        reply = Reply.of(reader.feed(completion.text) + reader.end(reason))
        return {
            "index": index,
            "message": _message(reply),
            "logprobs": self._logprobs(completion),
            "finish_reason": reply.finish_reason,
        }

    def first(self, index: int) -> dict[str, Any]:
        """The choice of a stream's first part."""
        return _choice(index, {"role": "assistant", "content": ""})

    def parts(self, chunk: Chunk) -> list[dict[str, Any]]:
        """The parts of the reply that a chunk makes certain."""
        reader, reason = self._readers[chunk.index], finish_reason(chunk)
        parts = reader.feed(chunk.text)
        if reason is not None:
            parts += reader.end(reason)
        choices = [
            _choice(chunk.index, {}, part.finish_reason)
            if isinstance(part, End)
            else _choice(chunk.index, _delta(part))
            for part in parts
        ]
        if self._wants_logprobs and chunk.logprobs:
            if not choices or not choices[0]["delta"]:
                choices.insert(0, _choice(chunk.index, {"content": ""}))
            choices[0]["logprobs"] = self._logprobs(chunk)
        return choices

    def _logprobs(self, part: Chunk | Completion) -> dict[str, Any] | None:
        return chat_logprobs(part.logprobs, self._texts) if self._wants_logprobs else None


def _message(reply: Reply) -> dict[str, Any]:
    """A whole reply; what it has not is left out, content apart."""
    content = None if reply.calls and not reply.content else reply.content
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in reply.calls
        ]
    return message


def _delta(part: Part) -> dict[str, Any]:
    if isinstance(part, Content):
        return {"content": part.text}
    if isinstance(part, Reasoning):
        return {"reasoning_content": part.text}
    if isinstance(part, CallBegin):
        function = {"name": part.name, "arguments": ""}
        begun = {"index": part.place, "id": part.id, "type": "function", "function": function}
        return {"tool_calls": [begun]}
    assert isinstance(part, CallArguments)
    return {"tool_calls": [{"index": part.place, "function": {"arguments": part.text}}]}


def _choice(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
