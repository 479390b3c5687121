"""``/v1/chat/completions``."""

from __future__ import annotations

from typing import Any

from nanoaccel.runtime.types.outputs import Chunk, Completion
from nanoaccel.server.api_error import bad_request
from nanoaccel.server.generation import Generation, Work
from nanoaccel.server.http.call import Call
from nanoaccel.server.http.fields import Fields
from nanoaccel.server.models.model import Model
from nanoaccel.server.openai.answers import UsageCount, envelope, finish_reason
from nanoaccel.server.openai.logprobs import chat_logprobs
from nanoaccel.server.openai.messages import read_chat_options, read_messages
from nanoaccel.server.openai.running import generation_of, model_for
from nanoaccel.server.openai.sampling import read_options, read_sampling, read_top_logprobs
from nanoaccel.server.openai.streaming import StreamOptions, stream
from nanoaccel.server.openai.structured import with_grammar


async def chat_completions(call: Call) -> None:
    """Continue a chat."""
    fields, limits = call.fields, call.service.config.limits
    streaming = StreamOptions.read(fields)
    params = read_sampling(fields, limits, max_tokens=None, logprobs=_logprobs(fields))
    params = await with_grammar(params, fields)
    chat = read_chat_options(fields, limits)
    work = Work([read_messages(fields, limits)], params, read_options(fields, chat))
    async with model_for(call) as model, generation_of(call, model, work) as generation:
        usage = UsageCount(generation, params.n, call.log)
        answer = _ChatAnswer(model, wants_logprobs=params.logprobs is not None)
        if streaming.stream:
            await stream(
                call,
                generation,
                usage,
                streaming,
                head=envelope("chatcmpl", "chat.completion.chunk", model.name),
                first=[answer.first(index) for index in range(params.n)],
                choices=answer.parts,
            )
        else:
            await _reply(call, model, generation, usage, answer)


async def _reply(
    call: Call, model: Model, generation: Generation, usage: UsageCount, answer: _ChatAnswer
) -> None:
    choices = []
    for index, completion in enumerate(await generation.completions()):
        usage.add(completion, index)
        choices.append(answer.choice(completion, index))
    if call.service.config.log_requests:
        call.log["answer"] = [choice["message"]["content"] for choice in choices]
    head = envelope("chatcmpl", "chat.completion", model.name)
    await call.reply(
        {**head, "choices": choices, "usage": usage.usage(), "timings": usage.timings()}
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
        wants_logprobs: Whether choices tell log-probabilities.
    """

    def __init__(self, model: Model, *, wants_logprobs: bool) -> None:
        self._texts = model.token_texts
        self._wants_logprobs = wants_logprobs

    def choice(self, completion: Completion, index: int) -> dict[str, Any]:
        """A whole choice."""
        return {
            "index": index,
            "message": {"role": "assistant", "content": completion.text, "refusal": None},
            "logprobs": self._logprobs(completion),
            "finish_reason": finish_reason(completion),
        }

    def first(self, index: int) -> dict[str, Any]:
        """The choice of a stream's first part."""
        return _delta(index, {"role": "assistant", "content": ""})

    def parts(self, chunk: Chunk) -> list[dict[str, Any]]:
        """The text of a chunk, if it has any, and its end, if it is one."""
        reason = finish_reason(chunk)
        parts = []
        if chunk.text or (self._wants_logprobs and chunk.logprobs):
            logprobs = self._logprobs(chunk)
            parts.append(_delta(chunk.index, {"content": chunk.text}, logprobs=logprobs))
        if reason is not None:
            parts.append(_delta(chunk.index, {}, finish_reason=reason))
        return parts

    def _logprobs(self, part: Chunk | Completion) -> dict[str, Any] | None:
        return chat_logprobs(part.logprobs, self._texts) if self._wants_logprobs else None


def _delta(
    index: int,
    delta: dict[str, Any],
    *,
    logprobs: dict[str, Any] | None = None,
    finish_reason: str | None = None,
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
