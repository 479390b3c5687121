"""What a request to Anthropic's messages asks for."""

from __future__ import annotations

from typing import Any

from nanoaccel.server.anthropic.conversation import (
    is_prefill,
    read_choice,
    read_conversation,
    read_tools,
)
from nanoaccel.server.api_error import bad_request
from nanoaccel.server.chat import ChatRequest
from nanoaccel.server.config import Limits
from nanoaccel.server.http.fields import Fields, shown
from nanoaccel.server.openai.sampling import read_options, read_sampling
from nanoaccel.server.openai.structured import with_grammar
from nanoaccel.text import ChatOptions

# As in OpenAI's API; what of these Anthropic has not is taken all the same.
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "ignore_eos")
EFFORTS = ("low", "medium", "high", "xhigh", "max")
THINKING = ("enabled", "disabled", "adaptive")


async def read_request(fields: Fields, limits: Limits) -> ChatRequest:
    """The chat that a request asks to continue.

    Args:
        fields: Of the request.
        limits: What it may ask.

    Raises:
        ApiError: A field is malformed, or cannot be obeyed.
        ConfigError: A value is out of range.
    """
    conversation, tools = read_conversation(fields, limits), read_tools(fields, limits)
    choice, parallel = read_choice(fields)
    asked = {name: fields.raw(name) for name in SAMPLING}
    stops = fields.listed("stop_sequences", limits.stops)
    most = fields.typed("max_tokens", int, 0)
    params = read_sampling(
        Fields({**asked, "stop": stops}),
        limits,
        max_tokens=most if fields.raw("max_tokens") is not None else None,
        logprobs=None,
    )
    output = Fields(fields.typed("output_config", dict, {}))
    params = await with_grammar(params, Fields({"response_format": _format(output)}))
    return ChatRequest(
        messages=conversation,
        params=params,
        chat=ChatOptions(
            continue_final_message=is_prefill(conversation),
            template_kwargs={**_thinking(fields), **_effort(output)},
        ),
        options=read_options(fields),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel,
    )


def _format(output: Fields) -> dict[str, Any] | None:
    """The form of the answer, in OpenAI's words."""
    form = output.typed("format", dict, {})
    if not form:
        return None
    if form.get("type") != "json_schema" or not isinstance(form.get("schema"), dict):
        raise bad_request(
            "output_config.format must be of type json_schema and have a schema", "output_config"
        )
    return {"type": "json_schema", "json_schema": {"schema": form["schema"]}}


def _effort(output: Fields) -> dict[str, object]:
    effort = output.raw("effort")
    if effort is None:
        return {}
    if effort not in EFFORTS:
        raise bad_request(
            f"output_config.effort is {shown(effort)}. It is one of {', '.join(EFFORTS)}",
            "output_config",
        )
    return {"reasoning_effort": effort}


def _thinking(fields: Fields) -> dict[str, object]:
    """Whether to think, for templates that can tell the model."""
    thinking = Fields(fields.typed("thinking", dict, {}))
    kind = thinking.raw("type")
    if kind is None:
        return {}
    if kind not in THINKING:
        raise bad_request(
            f"thinking.type is {shown(kind)}. It is one of {', '.join(THINKING)}", "thinking"
        )
    thinks = kind != "disabled"
    told: dict[str, object] = {"enable_thinking": thinks, "thinking": thinks}
    if kind == "enabled":
        told["thinking_budget"] = thinking.within("budget_tokens", 1024, 1, 1 << 20)
    return told
