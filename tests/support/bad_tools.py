"""Tools that no server should take, in the words of every API; also bad scores and thoughts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.bad_apis import MESSAGES, RESPONSES
from support.bad_requests import CHAT, COMPLETIONS, HI, Bad

# Schemas that no arguments can be held to.
SCHEMAS: dict[str, Any] = {
    "text": "object",
    "list": [],
    "of a string": {"type": "string"},
    "of an unknown type": {"type": "object", "properties": {"a": {"type": "text"}}},
    "properties of a list": {"type": "object", "properties": []},
    "reference to a file": {"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}},
    "reference in a circle": {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    "open pattern": {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}},
    "100 KB": {"type": "object", "properties": {f"name{i:08}": {} for i in range(6000)}},
}
NAMES = ("", " ", "a b", "a\n", "a" * 65, "é", "\ud800", "../a", '"', "<tool_call>")


def bad_tools() -> Iterator[Bad]:
    """Tools of every API whose names or schemas cannot be used, and choices of none of them."""
    for name in NAMES:
        yield from _tool(f"tool {name[:20]!a}", name, {"type": "object"})
    for what, schema in SCHEMAS.items():
        yield from _tool(f"tool with a schema: {what}", "f", schema)
    tools = [{"type": "function", "function": {"name": "f"}}]
    for choice in [
        {"type": "function", "function": {"name": "g"}},
        {"type": "function", "function": {"name": ""}},
        {"type": "function", "function": {"name": 7}},
        {"type": "function", "function": "f"},
        {"type": "function", "name": "f"},
        {"function": {"name": "F"}},
    ]:
        body = {"messages": HI, "tools": tools, "tool_choice": choice}
        yield Bad(f"choice of a tool: {choice!r:.60}", CHAT, body)
    yield Bad("call without tools", CHAT, {"messages": HI, "tool_choice": "required"})
    for value in ("no", 0, [True], {}):
        asked = {"messages": HI, "parallel_tool_calls": value}
        yield Bad(f"parallel_tool_calls: {value!r}", CHAT, asked)


def _tool(what: str, name: str, schema: Any) -> Iterator[Bad]:
    function = {"name": name, "parameters": schema}
    chat = {"messages": HI, "tools": [{"type": "function", "function": function}]}
    yield Bad(f"{what} of a chat", CHAT, chat)
    response = {"input": "a", "tools": [{"type": "function", **function}]}
    yield Bad(f"{what} of a response", RESPONSES, response)
    custom = [{"name": name, "input_schema": schema}]
    message = {"messages": HI, "max_tokens": 4, "tools": custom}
    yield Bad(f"{what} of a message", MESSAGES, message)


def bad_scores() -> Iterator[Bad]:
    """Scores of prompts, progress, and thoughts that are no such."""
    for field, value in [
        ("prompt_logprobs", -1),
        ("prompt_logprobs", 21),
        ("prompt_logprobs", 10**30),
        ("prompt_logprobs", 1.5),
        ("prompt_logprobs", "1"),
        ("prompt_logprobs", True),
        ("prompt_logprobs", [1]),
        ("return_progress", 1),
        ("return_progress", "yes"),
        ("return_progress", {}),
    ]:
        yield Bad(f"{field}: {value!r:.40}", COMPLETIONS, {"prompt": "a", field: value})
    streamed = {"prompt": "a", "prompt_logprobs": 1, "stream": True}
    yield Bad("prompt_logprobs that are streamed", COMPLETIONS, streamed)
    many = {"prompt": [[1] * 500] * 128, "echo": True, "logprobs": 20, "max_tokens": 0}
    yield Bad("more scores than an answer may have", COMPLETIONS, many)
    yield Bad("progress of a chat", CHAT, {"messages": HI, "return_progress": "yes"})
    for thoughts in (7, ["hm"], {"text": "hm"}):
        said = {"role": "assistant", "content": "a", "reasoning_content": thoughts}
        yield Bad(f"thoughts: {thoughts!r}", CHAT, {"messages": [*HI, said, *HI]})
