"""Messages, system prompt and tools of Anthropic's form, as chat templates take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nanoaccel.server.api_error import bad_request
from nanoaccel.server.chat import ToolChoice
from nanoaccel.server.config import Limits
from nanoaccel.server.http.fields import Fields, shown

CHOICES = ("auto", "any", "tool", "none")


def read_conversation(fields: Fields, limits: Limits) -> list[dict[str, Any]]:
    """The system prompt and the messages.

    Raises:
        ApiError: They are malformed, too many, or hold more than text and tools.
    """
    messages = fields.listed("messages", limits.messages)
    if not messages:
        raise bad_request("messages is missing or empty. Send at least one message", "messages")
    made: list[dict[str, Any]] = []
    system = fields.raw("system")
    if system is not None:
        made.append({"role": "system", "content": _text_of(system, "system")})
    names: dict[str, str] = {}
    for place, message in enumerate(messages):
        made += _message(message, f"messages[{place}]", names)
    return made


def is_prefill(conversation: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the last message is the beginning of the answer."""
    last = conversation[-1]
    return last["role"] == "assistant" and "tool_calls" not in last


def read_tools(fields: Fields, limits: Limits) -> list[dict[str, Any]]:
    """The tools, in OpenAI's form.

    Raises:
        ApiError: They are malformed or too many, or are run by Anthropic's servers.
    """
    return [
        _tool(tool, f"tools[{place}]")
        for place, tool in enumerate(fields.listed("tools", limits.tools))
    ]


def read_choice(fields: Fields) -> tuple[ToolChoice, bool]:
    """Whether to call tools, and whether several in one reply.

    Raises:
        ApiError: ``tool_choice`` is malformed.
    """
    choice = Fields(fields.typed("tool_choice", dict, {}))
    kind = choice.typed("type", str, "auto")
    parallel = not choice.typed("disable_parallel_tool_use", bool, False)
    if kind == "none":
        return ToolChoice("none"), parallel
    if kind == "auto":
        return ToolChoice(), parallel
    if kind == "any":
        return ToolChoice("required"), parallel
    if kind == "tool":
        return ToolChoice("required", choice.typed("name", str, "")), parallel
    raise bad_request(
        f"tool_choice.type is {shown(kind)}. It is one of {', '.join(CHOICES)}", "tool_choice"
    )


def _tool(tool: object, place: str) -> dict[str, Any]:
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
        raise bad_request(f"{place} has no name. Send a name and an input_schema", "tools")
    if tool.get("type") not in (None, "custom"):
        raise bad_request(
            f"{place} is of type {shown(tool['type'])}, which this server cannot run. Send tools "
            "of type custom",
            "tools",
        )
    if not isinstance(tool.get("input_schema"), dict):
        raise bad_request(f"{place} has no input_schema. Send a JSON schema", "tools")
    function = {"name": tool["name"], "parameters": tool["input_schema"]}
    if isinstance(tool.get("description"), str):
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def _message(message: object, place: str, names: dict[str, str]) -> list[dict[str, Any]]:
    """A message; results of tools become messages of their own.

    Args:
        message: As the client sent it.
        place: For what is refused.
        names: Names of the tools that were called, by the id of the call; added to.
    """
    if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
        raise bad_request(f"{place} has no role user or assistant", "messages")
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise bad_request(f"{place}.content is no string and no list of blocks", "messages")
    if message["role"] == "assistant":
        return [_assistant(blocks, f"{place}.content", names)]
    return _user(blocks, f"{place}.content", names)


def _assistant(
    blocks: Sequence[Mapping[str, Any]], place: str, names: dict[str, str]
) -> dict[str, Any]:
    texts, thoughts, calls = [], [], []
    for block in blocks:
        kind = block.get("type")
        if kind == "tool_use":
            calls.append(_call(block, place))
            names[calls[-1]["id"]] = calls[-1]["function"]["name"]
        elif kind == "thinking":
            thoughts.append(_string(block, "thinking", place))
        elif kind != "redacted_thinking":
            texts.append(_text(block, place))
    made: dict[str, Any] = {"role": "assistant", "content": "\n".join(texts)}
    if thoughts:
        made["reasoning_content"] = "\n".join(thoughts)
    if calls:
        made["tool_calls"] = calls
    return made


def _call(block: Mapping[str, Any], place: str) -> dict[str, Any]:
    arguments = block.get("input")
    if not isinstance(arguments, dict):
        raise bad_request(f"{place}: the input of a tool_use is no object", "messages")
    function = {"name": _string(block, "name", place), "arguments": arguments}
    return {"id": _string(block, "id", place), "type": "function", "function": function}


def _user(
    blocks: Sequence[Mapping[str, Any]], place: str, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    results, texts = [], []
    for block in blocks:
        if block.get("type") != "tool_result":
            texts.append(_text(block, place))
            continue
        call = _string(block, "tool_use_id", place)
        if call not in names:
            raise bad_request(
                f"{place} has the result of {shown(call)}, and no message before it called that",
                "messages",
            )
        content = block.get("content")
        text = "" if content is None else _text_of(content, place)
        results.append({"role": "tool", "tool_call_id": call, "name": names[call], "content": text})
    if not texts and results:
        return results
    return [*results, {"role": "user", "content": "\n".join(texts)}]


def _text_of(content: object, place: str) -> str:
    """A text that is a string or a list of text blocks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise bad_request(f"{place} is {shown(content)}. It is a string or text blocks", place)
    return "\n".join(_text(block, place) for block in content)


def _text(block: Mapping[str, Any], place: str) -> str:
    if block.get("type") != "text":
        raise bad_request(
            f"{place} holds a block of type {shown(block.get('type'))}. This model reads text only",
            "messages",
        )
    return _string(block, "text", place)


def _string(block: Mapping[str, Any], name: str, place: str) -> str:
    value = block.get(name)
    if not isinstance(value, str):
        raise bad_request(f"{place}: {name} is {shown(value)}. It must be a string", "messages")
    return value
