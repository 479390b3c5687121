"""What a request for a response asks for."""

from __future__ import annotations

from typing import Any

from nanoaccel.server.api_error import bad_request
from nanoaccel.server.chat import ChatRequest, ToolChoice
from nanoaccel.server.config import Limits
from nanoaccel.server.http.fields import Fields, shown
from nanoaccel.server.openai.sampling import read_options, read_sampling, read_top_logprobs
from nanoaccel.server.openai.structured import with_grammar
from nanoaccel.server.responses.items import read_input
from nanoaccel.text import ChatOptions

_LOGPROBS = "message.output_text.logprobs"
# What is thought stands in the open; nothing is encrypted.
INCLUDES = (_LOGPROBS, "reasoning.encrypted_content")
STATEFUL = ("previous_response_id", "conversation", "prompt")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


async def read_request(fields: Fields, limits: Limits) -> ChatRequest:
    """The chat that a request asks to continue.

    Args:
        fields: Of the request.
        limits: What it may ask.

    Raises:
        ApiError: A field is malformed, cannot be obeyed, or needs a server that keeps responses.
        ConfigError: A value is out of range.
    """
    _refuse_state(fields)
    tools = _tools(fields, limits)
    params = read_sampling(
        fields, limits, max_tokens=fields.raw("max_output_tokens"), logprobs=_logprobs(fields)
    )
    if params.n != 1:
        raise bad_request("n is not supported: a response is one. Leave it out", "n")
    text = Fields(fields.typed("text", dict, {}))
    params = await with_grammar(params, Fields({"response_format": _format(text)}))
    return ChatRequest(
        messages=read_input(fields, limits),
        params=params,
        chat=ChatOptions(template_kwargs=_effort(fields)),
        options=read_options(fields),
        tools=tools,
        tool_choice=_choice(fields),
        parallel_tool_calls=fields.typed("parallel_tool_calls", bool, True),
    )


def _refuse_state(fields: Fields) -> None:
    for name in STATEFUL:
        if fields.raw(name) is not None:
            raise bad_request(
                f"{name} needs a server that keeps responses, and this one is stateless. Send all "
                "items in input",
                name,
            )
    fields.typed("store", bool, False)
    if fields.typed("background", bool, False):
        raise bad_request(
            "background=true needs a server that keeps responses, and this one is stateless. "
            "Leave it out",
            "background",
        )
    if fields.typed("truncation", str, "disabled") != "disabled":
        raise bad_request("truncation is not supported: nothing is cut off unseen", "truncation")


def _logprobs(fields: Fields) -> int | None:
    includes = fields.listed("include", len(INCLUDES))
    for name in includes:
        if name not in INCLUDES:
            raise bad_request(
                f"include holds {shown(name)}. It may hold {' and '.join(INCLUDES)}", "include"
            )
    top = read_top_logprobs(fields, "top_logprobs")
    if _LOGPROBS in includes:
        return top
    if top > 0:
        raise bad_request(f"top_logprobs needs {_LOGPROBS} in include", "top_logprobs")
    return None


def _format(text: Fields) -> dict[str, Any] | None:
    """``text.format``, as chats have it."""
    form = text.typed("format", dict, {})
    kind = form.get("type", "text")
    if kind in ("text", "json_object"):
        return {"type": kind}
    if kind != "json_schema" or not isinstance(form.get("schema"), dict):
        raise bad_request(
            "text.format must be of type text, json_object, or json_schema with a schema", "text"
        )
    return {"type": "json_schema", "json_schema": {"schema": form["schema"]}}


def _effort(fields: Fields) -> dict[str, object]:
    """How much to think, for templates that can tell the model."""
    effort = Fields(fields.typed("reasoning", dict, {})).raw("effort")
    if effort is None:
        return {}
    if effort not in EFFORTS:
        raise bad_request(
            f"reasoning.effort is {shown(effort)}. It is one of {', '.join(EFFORTS)}", "reasoning"
        )
    if effort == "none":
        return {"enable_thinking": False, "thinking": False}
    return {"reasoning_effort": effort}


def _tools(fields: Fields, limits: Limits) -> list[dict[str, Any]]:
    """The functions, as chats have them."""
    made = []
    for place, tool in enumerate(fields.listed("tools", limits.tools)):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind != "function" or not isinstance(tool.get("name"), str):
            raise bad_request(
                f"tools[{place}] is of type {shown(kind)}. Send functions, each with a name",
                "tools",
            )
        names = ("name", "description", "parameters", "strict")
        function = {name: tool[name] for name in names if tool.get(name) is not None}
        made.append({"type": "function", "function": function})
    return made


def _choice(fields: Fields) -> ToolChoice:
    choice = fields.raw("tool_choice")
    if choice is None or choice == "auto":
        return ToolChoice()
    if choice == "none":
        return ToolChoice("none")
    if choice == "required":
        return ToolChoice("required")
    name = choice.get("name") if isinstance(choice, dict) else None
    if isinstance(name, str) and choice.get("type") == "function":
        return ToolChoice("required", name)
    raise bad_request(
        f"tool_choice is {shown(choice)}. It is auto, none, required, or "
        "{'type': 'function', 'name': ...}",
        "tool_choice",
    )
