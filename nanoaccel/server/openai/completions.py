"""``/v1/completions``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nanoaccel.runtime.engine.prompts import Prompt
from nanoaccel.server.api_error import bad_request
from nanoaccel.server.config import Limits
from nanoaccel.server.generation.generation import Work
from nanoaccel.server.http.call import Call
from nanoaccel.server.http.fields import Fields
from nanoaccel.server.models.model import Model
from nanoaccel.server.openai.answers import UsageCount, envelope
from nanoaccel.server.openai.completion_choices import CompletionChoices, Told
from nanoaccel.server.openai.prompts import read_prompts
from nanoaccel.server.openai.reply import reply
from nanoaccel.server.openai.running import generation_of, model_for
from nanoaccel.server.openai.sampling import read_options, read_sampling, read_top_logprobs
from nanoaccel.server.openai.streaming import StreamOptions, stream
from nanoaccel.server.openai.structured import with_grammar

_MAX_TOKENS = 16  # OpenAI's default


async def completions(call: Call) -> None:
    """Continue prompts as they are."""
    fields, limits = call.fields, call.service.config.limits
    streaming = StreamOptions.read(fields)
    prompts = read_prompts(fields, "prompt", limits.prompts)
    told = _read_told(fields, stream=streaming.stream)
    params = read_sampling(
        fields, limits, max_tokens=_MAX_TOKENS, logprobs=told.logprobs, prompts=len(prompts)
    )
    params = replace(await with_grammar(params, fields), prompt_logprobs=told.of_prompt)
    asked = fields.raw("max_tokens") is not None or fields.raw("max_completion_tokens") is not None
    work = Work(prompts, params, read_options(fields, tells_progress=True), cuts=not asked)
    async with model_for(call) as model, generation_of(call, model, work) as generation:
        _check_scores(told, generation.prompt_tokens * params.n, limits)
        usage = UsageCount(generation, params.n, call.log)
        head = envelope("cmpl", "text_completion", model.name)
        texts = _texts(model, prompts) if told.echo else [""] * len(prompts)
        choices = CompletionChoices(told, model.token_texts, texts, generation.prompt_ids, params.n)
        if streaming.stream:
            first, parts = choices.first(), choices.parts
            await stream(call, generation, usage, streaming, head=head, first=first, choices=parts)
        else:
            await reply(call, generation, usage, head=head, choice=choices.whole)


def _read_told(fields: Fields, *, stream: bool) -> Told:
    counts = {
        name: None if fields.raw(name) is None else read_top_logprobs(fields, name)
        for name in ("logprobs", "prompt_logprobs")
    }
    if stream and counts["prompt_logprobs"] is not None:
        raise bad_request(
            "prompt_logprobs cannot be streamed. Send stream=false, or echo=true with logprobs",
            "prompt_logprobs",
        )
    return Told(fields.typed("echo", bool, False), counts["logprobs"], counts["prompt_logprobs"])


def _check_scores(told: Told, tokens: int, limits: Limits) -> None:
    if told.of_prompt is None:
        return
    scores = tokens * (1 + told.of_prompt)
    if scores > limits.scores:
        raise bad_request(
            f"the prompts' log-probabilities are {scores} numbers. At most {limits.scores} are "
            "allowed in one answer: send fewer prompts, or ask for fewer of the likeliest tokens",
            "logprobs",
        )


def _texts(model: Model, prompts: Sequence[Prompt]) -> list[str]:
    return [
        prompt if isinstance(prompt, str) else model.tokenizer.decode(prompt)  # type: ignore[arg-type]
        for prompt in prompts
    ]
