"""The messages of a chat, as chat templates take them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nanoaccel.server.api_error import bad_request
from nanoaccel.server.config import Limits
from nanoaccel.server.http.fields import Fields, shown
from nanoaccel.text import ChatOptions

# What a client may tell a template: switches of known families, and no names that they rely on.
TEMPLATE_FIELDS = (
    "enable_thinking", "thinking", "thinking_budget", "reasoning_effort", "date_string",
)  # fmt: skip
FIELD_CHARS = 256


def read_messages(fields: Fields, limits: Limits) -> list[dict[str, Any]]:
    """The messages of a chat; text that is in parts is put together.

    Raises:
        ApiError: They are malformed, too many, or hold more than text.
    """
    messages = fields.listed("messages", limits.messages)
    if not messages:
        raise bad_request("messages is missing or empty. Send at least one message", "messages")
    return [_message(message, f"messages[{place}]") for place, message in enumerate(messages)]


def read_chat_options(fields: Fields) -> ChatOptions:
    """What the template is told beside the messages and the tools.

    Raises:
        ApiError: A field is malformed.
        ConfigError: Two contradict each other.
    """
    begins = fields.raw("add_generation_prompt")
    return ChatOptions(
        continue_final_message=fields.typed("continue_final_message", bool, False),
        add_generation_prompt=None
        if begins is None
        else fields.typed("add_generation_prompt", bool, True),
        template_kwargs=_template_fields(fields),
    )


def _template_fields(fields: Fields) -> dict[str, object]:
    given = dict(fields.typed("chat_template_kwargs", dict, {}))
    effort = fields.raw("reasoning_effort")
    if effort is not None:
        given["reasoning_effort"] = effort
    for name, value in given.items():
        if name not in TEMPLATE_FIELDS:
            raise bad_request(
                f"chat_template_kwargs holds {shown(name)}. It may hold "
                f"{', '.join(TEMPLATE_FIELDS)}",
                "chat_template_kwargs",
            )
        if not isinstance(value, str | bool | int | float) or len(str(value)) > FIELD_CHARS:
            raise bad_request(
                f"{name} is {shown(value)}. It must be true, false, a number or a short string",
                "chat_template_kwargs",
            )
    return given


def _message(message: object, place: str) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise bad_request(f"{place} is {shown(message)}. It must be an object", "messages")
    made = {name: value for name, value in message.items() if value is not None}
    if made.get("role") == "developer":
        made["role"] = "system"
    content = made.get("content")
    if isinstance(content, list):
        made["content"] = "\n".join(_text(part, place) for part in content)
    elif content is not None and not isinstance(content, str):
        raise bad_request(
            f"{place}.content is {shown(content)}. It must be a string or a list of text parts",
            "messages",
        )
    thoughts = made.get("reasoning_content")
    if thoughts is not None and not isinstance(thoughts, str):
        raise bad_request(
            f"{place}.reasoning_content is {shown(thoughts)}. It must be a string", "messages"
        )
    if "tool_calls" in made:
        made["tool_calls"] = _tool_calls(made["tool_calls"], place)
    return made


def _text(part: object, place: str) -> str:
    if isinstance(part, Mapping) and isinstance(part.get("text"), str):
        text: str = part["text"]
        return text
    kind = part.get("type") if isinstance(part, Mapping) else part
    raise bad_request(
        f"{place}.content holds a part of type {shown(kind)}. This model reads text only",
        "messages",
    )


def _tool_calls(calls: object, place: str) -> list[dict[str, Any]]:
    """Calls of an assistant, with arguments as objects, as templates write them."""
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise bad_request(f"{place}.tool_calls is no list of objects", "messages")
    made = []
    for call in calls:
        function = call.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise bad_request(
                f"{place}.tool_calls holds a call without a function name", "messages"
            )
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments) if arguments.strip() else {}
            except (ValueError, RecursionError):
                raise bad_request(
                    f"{place}.tool_calls: the arguments of {shown(function['name'])} are not JSON",
                    "messages",
                ) from None
        made.append({**call, "function": {**function, "arguments": arguments}})
    return made
