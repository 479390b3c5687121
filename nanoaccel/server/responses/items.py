"""The input of a response, as chat templates take it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nanoaccel.server.api_error import bad_request
from nanoaccel.server.config import Limits
from nanoaccel.server.http.fields import Fields, shown

ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")
_KINDS = "message, function_call, function_call_output or reasoning"


def read_input(fields: Fields, limits: Limits) -> list[dict[str, Any]]:
    """The instructions and the input, as messages.

    Raises:
        ApiError: They are malformed, too many, hold more than text, or refer to what is not kept.
    """
    given = fields.raw("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise bad_request(
            f"input is {'missing or empty' if not given else shown(given)}. Send a string or a "
            "list of items",
            "input",
        )
    if len(given) > limits.messages:
        raise bad_request(
            f"input has {len(given)} items. At most {limits.messages} are allowed", "input"
        )
    instructions = fields.typed("instructions", str, "")
    conversation = _Conversation(instructions)
    for place, item in enumerate(given):
        conversation.add(item, f"input[{place}]")
    return conversation.messages()


class _Conversation:
    """Messages, made of items: thoughts and calls join the assistant's message.

    Args:
        instructions: What the system prompt begins with; may be empty.
    """

    def __init__(self, instructions: str) -> None:
        self._system = [instructions] if instructions else []
        self._messages: list[dict[str, Any]] = []
        self._thoughts: list[str] = []
        self._names: dict[str, str] = {}

    def messages(self) -> list[dict[str, Any]]:
        """All messages; a system prompt is one and comes first."""
        system = "\n\n".join(self._system)
        return [*([{"role": "system", "content": system}] if system else []), *self._messages]

    def add(self, item: object, place: str) -> None:
        """Take the next item."""
        if not isinstance(item, dict):
            raise bad_request(f"{place} is {shown(item)}. It must be an object", "input")
        kind = item.get("type", "message")
        if kind == "message":
            self._add_message(item, place)
        elif kind == "function_call":
            self._add_call(item, place)
        elif kind == "function_call_output":
            self._add_output(item, place)
        elif kind == "reasoning":
            content = item.get("content")
            content = item.get("summary", []) if content is None else content
            self._thoughts.append(_text_of(content, place))
        elif kind == "item_reference":
            raise bad_request(
                f"{place} refers to another response, and this server keeps none. Send the item "
                "itself",
                "input",
            )
        else:
            raise bad_request(f"{place} is of type {shown(kind)}. It is {_KINDS}", "input")

    def _add_message(self, item: Mapping[str, Any], place: str) -> None:
        role = item.get("role")
        if not isinstance(role, str) or role not in ROLES:
            raise bad_request(
                f"{place}.role is {shown(role)}. It is one of {', '.join(ROLES)}", "input"
            )
        text = _text_of(item.get("content"), f"{place}.content")
        if ROLES[role] == "system" and not self._messages:
            self._system.append(text)
        elif role == "assistant":
            self._assistant()["content"] = text
        else:
            self._messages.append({"role": ROLES[role], "content": text})

    def _add_call(self, item: Mapping[str, Any], place: str) -> None:
        name, call = _string(item, "name", place), _string(item, "call_id", place)
        arguments = _string(item, "arguments", place)
        try:
            found = json.loads(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError):
            raise bad_request(
                f"{place}: the arguments of {shown(name)} are not JSON", "input"
            ) from None
        self._names[call] = name
        last = self._messages[-1] if self._messages else {}
        goes_on = last.get("role") == "assistant" and not self._thoughts
        message = last if goes_on else self._assistant()
        function = {"name": name, "arguments": found}
        made = {"id": call, "type": "function", "function": function}
        message.setdefault("tool_calls", []).append(made)

    def _add_output(self, item: Mapping[str, Any], place: str) -> None:
        call = _string(item, "call_id", place)
        if call not in self._names:
            raise bad_request(
                f"{place} has the output of {shown(call)}, and no item before it called that",
                "input",
            )
        text = _text_of(item.get("output"), f"{place}.output")
        self._messages.append(
            {"role": "tool", "tool_call_id": call, "name": self._names[call], "content": text}
        )

    def _assistant(self) -> dict[str, Any]:
        """A new message of the assistant, with the thoughts that came before it."""
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        if self._thoughts:
            message["reasoning_content"] = "\n".join(self._thoughts)
            self._thoughts = []
        self._messages.append(message)
        return message


def _text_of(content: object, place: str) -> str:
    """A text that is a string or a list of text parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        raise bad_request(f"{place} is {shown(content)}. It is a string or text parts", "input")
    return "\n".join(_text(part, place) for part in content)


def _text(part: object, place: str) -> str:
    if isinstance(part, Mapping):
        field = "refusal" if part.get("type") == "refusal" else "text"
        text = part.get(field)
        if isinstance(text, str) and part.get("type") in (*TEXTS, "refusal"):
            return text
    kind = part.get("type") if isinstance(part, Mapping) else part
    raise bad_request(
        f"{place} holds a part of type {shown(kind)}. This model reads text only", "input"
    )


def _string(item: Mapping[str, Any], name: str, place: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise bad_request(f"{place}.{name} is {shown(value)}. It must be a string", "input")
    return value
