"""``/v1/completions``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nanoaccel.runtime.engine.prompts import Prompt
from nanoaccel.runtime.types.outputs import Chunk, Completion
from nanoaccel.server.api_error import bad_request
from nanoaccel.server.config import Limits
from nanoaccel.server.generation import Generation, Work
from nanoaccel.server.http.call import Call
from nanoaccel.server.http.fields import Fields, shown
from nanoaccel.server.models.model import Model
from nanoaccel.server.openai.answers import UsageCount, envelope, finish_reason
from nanoaccel.server.openai.logprobs import CompletionLogprobs
from nanoaccel.server.openai.running import generation_of, model_for
from nanoaccel.server.openai.sampling import read_options, read_sampling, read_top_logprobs
from nanoaccel.server.openai.streaming import StreamOptions, stream
from nanoaccel.server.openai.structured import with_grammar

_MAX_TOKENS = 16  # OpenAI's default


async def completions(call: Call) -> None:
    """Continue prompts as they are."""
    fields, limits = call.fields, call.service.config.limits
    streaming = StreamOptions.read(fields)
    prompts = read_prompts(fields, limits)
    logprobs = None if fields.raw("logprobs") is None else read_top_logprobs(fields, "logprobs")
    params = read_sampling(
        fields, limits, max_tokens=_MAX_TOKENS, logprobs=logprobs, prompts=len(prompts)
    )
    params = await with_grammar(params, fields)
    echo = _reads_echo(fields, logprobs)
    asked = fields.raw("max_tokens") is not None or fields.raw("max_completion_tokens") is not None
    work = Work(prompts, params, read_options(fields, tells_progress=True), cuts=not asked)
    async with model_for(call) as model, generation_of(call, model, work) as generation:
        usage = UsageCount(generation, params.n, call.log)
        before = _echoed(model, prompts, params.n) if echo else [""] * (len(prompts) * params.n)
        answer = _Answer(model, before, wants_logprobs=logprobs is not None)
        if streaming.stream:
            await stream(
                call,
                generation,
                usage,
                streaming,
                head=envelope("cmpl", "text_completion", model.name),
                first=answer.first(),
                choices=answer.parts,
            )
        else:
            await _reply(call, model, generation, usage, answer)


async def _reply(
    call: Call, model: Model, generation: Generation, usage: UsageCount, answer: _Answer
) -> None:
    ended = await generation.completions()
    if call.service.config.log_requests:
        call.log["answer"] = [completion.text for completion in ended]
    choices = []
    for index, completion in enumerate(ended):
        usage.add(completion, index)
        choices.append(answer.choice(completion, index))
    head = envelope("cmpl", "text_completion", model.name)
    await call.reply(
        {**head, "choices": choices, "usage": usage.usage(), "timings": usage.timings()}
    )


def read_prompts(fields: Fields, limits: Limits) -> list[Prompt]:
    """The prompts of a request: one or several, as texts or token ids.

    Raises:
        ApiError: There is none, or they are too many or malformed.
    """
    prompt = fields.raw("prompt")
    if isinstance(prompt, str):
        return [prompt]
    if not isinstance(prompt, list) or not prompt:
        raise bad_request(
            f"prompt is {'missing or empty' if not prompt else shown(prompt)}. Send a string, a "
            "list of token ids, or a list of these",
            "prompt",
        )
    if all(isinstance(item, int) for item in prompt):
        return [prompt]
    if len(prompt) > limits.prompts:
        raise bad_request(
            f"prompt holds {len(prompt)} prompts. At most {limits.prompts} are allowed", "prompt"
        )
    for place, item in enumerate(prompt):
        ids = isinstance(item, list) and all(isinstance(token, int) for token in item)
        if not ids and not isinstance(item, str):
            raise bad_request(
                f"prompt[{place}] is {shown(item)}. It must be a string or a list of token ids",
                "prompt",
            )
    return prompt


def _reads_echo(fields: Fields, logprobs: int | None) -> bool:
    echo = fields.typed("echo", bool, False)
    if echo and logprobs is not None:
        raise bad_request("echo with logprobs is not supported. Leave one of them out", "echo")
    return echo


def _echoed(model: Model, prompts: Sequence[Prompt], n: int) -> list[str]:
    texts = [
        prompt if isinstance(prompt, str) else model.tokenizer.decode(prompt)  # type: ignore[arg-type]
        for prompt in prompts
    ]
    return [text for text in texts for _ in range(n)]


class _Answer:
    """Writes choices of completions.

    Args:
        model: Who answers.
        before: By choice, text before the model's own.
        wants_logprobs: Whether choices tell log-probabilities.
    """

    def __init__(self, model: Model, before: Sequence[str], *, wants_logprobs: bool) -> None:
        self._before = before
        self._logprobs = (
            [CompletionLogprobs(model.token_texts) for _ in before] if wants_logprobs else None
        )

    def choice(self, completion: Completion, index: int) -> dict[str, Any]:
        """A whole choice."""
        reason = finish_reason(completion)
        return self._made(index, self._before[index] + completion.text, completion, reason)

    def first(self) -> list[dict[str, Any]]:
        """The choices of a stream's first parts: those that repeat their prompt."""
        return [
            {"index": index, "text": text, "logprobs": None, "finish_reason": None}
            for index, text in enumerate(self._before)
            if text
        ]

    def parts(self, chunk: Chunk) -> list[dict[str, Any]]:
        """What tells of a chunk; nothing of one that says nothing."""
        reason = finish_reason(chunk)
        if not chunk.text and reason is None and not chunk.logprobs:
            return []
        return [self._made(chunk.index, chunk.text, chunk, reason)]

    def _made(
        self, index: int, text: str, part: Chunk | Completion, reason: str | None
    ) -> dict[str, Any]:
        logprobs = None if self._logprobs is None else self._logprobs[index].part(part.logprobs)
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}
