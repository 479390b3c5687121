"""How to sample, from the fields of a request."""

from __future__ import annotations

from typing import Any

from nanoaccel.registry import LOGITS_PROCESSORS, did_you_mean
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.server.api_error import bad_request
from nanoaccel.server.config import Limits
from nanoaccel.server.http.fields import Fields

# Checked by SamplingParams. What is left open is the model's own.
_AS_THEY_ARE = (
    "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty",
    "frequency_penalty", "seed", "min_tokens", "ignore_eos", "skip_special_tokens",
)  # fmt: skip
# Asked for, these must be obeyed; and they are not.
REFUSED = (
    "grammar", "json_schema", "functions", "function_call", "chat_template", "audio",
    "modalities", "suffix",
)  # fmt: skip
MAX_LOGPROBS = 20
MAX_PROCESSORS = 16


def read_sampling(
    fields: Fields,
    limits: Limits,
    *,
    max_tokens: int | None,
    logprobs: int | None,
    prompts: int = 1,
) -> SamplingParams:
    """The sampling parameters of a request.

    Args:
        fields: Of the request.
        limits: What it may ask.
        max_tokens: Tokens to generate when it does not say.
        logprobs: Number of likeliest tokens to tell of; None for none.
        prompts: Prompts that it has.

    Raises:
        ApiError: A field is of the wrong kind, beyond a limit, or cannot be obeyed.
        SamplingError: A value is out of range.
    """
    for name in REFUSED:
        if fields.raw(name) is not None:
            raise bad_request(f"{name} is not supported. Leave it out", name)
    given = {name: fields.raw(name) for name in _AS_THEY_ARE}
    asked = [fields.raw("max_tokens"), fields.raw("max_completion_tokens")]
    for value in asked:
        max_tokens = max_tokens if value is None else value
    return SamplingParams(
        max_tokens=max_tokens,
        n=_completions(fields, limits, prompts),
        stop=_stops(fields, limits),
        stop_token_ids=tuple(fields.listed("stop_token_ids", limits.stops)),
        logit_bias=_biases(fields, limits),
        logprobs=logprobs,
        processors=_processors(fields),
        **{name: value for name, value in given.items() if value is not None},
    )


def read_options(fields: Fields, *, tells_progress: bool = False) -> RequestOptions:
    """How a request is treated: its ``priority``, ``timeout`` and ``return_progress``.

    Args:
        fields: Of the request.
        tells_progress: Whether the last one is read, as the answer can tell progress.

    Raises:
        ApiError: ``return_progress`` is neither true nor false.
        ConfigError: Another value is wrong.
    """
    priority = fields.raw("priority")
    return RequestOptions(
        priority=0 if priority is None else priority,
        timeout=fields.raw("timeout"),
        progress=tells_progress and fields.typed("return_progress", bool, False),
    )


def read_top_logprobs(fields: Fields, name: str) -> int:
    """Number of likeliest tokens, 0 to 20.

    Raises:
        ApiError: It is out of range.
    """
    return fields.within(name, 0, 0, MAX_LOGPROBS)


def _completions(fields: Fields, limits: Limits, prompts: int) -> int:
    count = fields.within("n", 1, 1, limits.n)
    if count * prompts > limits.n:
        raise bad_request(
            f"n={count} for {prompts} prompts are {count * prompts} completions. At most "
            f"{limits.n} are allowed in one request",
            "n",
        )
    return count


def _stops(fields: Fields, limits: Limits) -> tuple[Any, ...]:
    stop = fields.raw("stop")
    stops = (stop,) if isinstance(stop, str) else tuple(fields.listed("stop", limits.stops))
    for text in stops:
        if isinstance(text, str) and len(text) > limits.stop_chars:
            raise bad_request(
                f"stop holds a text of {len(text)} characters. At most {limits.stop_chars} are "
                "allowed",
                "stop",
            )
    return stops


def _biases(fields: Fields, limits: Limits) -> dict[Any, Any]:
    biases: dict[Any, Any] = fields.typed("logit_bias", dict, {})
    if len(biases) > limits.biases:
        raise bad_request(
            f"logit_bias has {len(biases)} tokens. At most {limits.biases} are allowed",
            "logit_bias",
        )
    return biases


def _processors(fields: Fields) -> dict[str, Any]:
    """Logits processors of plugins, each with the values that the request has for it."""
    asked: dict[str, Any] = fields.typed("processors", dict, {})
    if len(asked) > MAX_PROCESSORS:
        raise bad_request(
            f"processors has {len(asked)} names. At most {MAX_PROCESSORS} are allowed", "processors"
        )
    known = LOGITS_PROCESSORS.names()
    for name, values in asked.items():
        if name not in known:
            remedy = did_you_mean(name, known)
            raise bad_request(f"there is no logits processor {name!r:.80}. {remedy}", "processors")
        if not isinstance(values, dict):
            raise bad_request(
                f"processors[{name!r}] is no object. Write {{}} for none", "processors"
            )
    return asked
