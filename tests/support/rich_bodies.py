"""Good bodies with something of everything in them, and with any one value of them changed."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

PARAMETERS = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "integer"}}},
    "required": ["a"],
}
VALUES: tuple[Any, ...] = (
    None, True, 7, -1, 0.5, 10**20, "", "a", "\ud800", [], ["a"], [[]], [{}], {}, {"a": {"b": []}},
)  # fmt: skip

_FUNCTION = {"name": "f", "description": "d", "parameters": PARAMETERS, "strict": True}
_CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": "b"}'}}
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "boolean"}}}
_USE = {"type": "tool_use", "id": "1", "name": "f", "input": {"a": "b"}}
_CALLED = {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"a": "b"}'}

BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "max_tokens": 2,
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "u"}], "name": "me"},
            {"role": "assistant", "reasoning_content": "r", "tool_calls": [_CALL]},
            {"role": "tool", "tool_call_id": "1", "content": "t"},
        ],
        "tools": [{"type": "function", "function": _FUNCTION}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": _SCHEMA,
        "stream_options": {"include_usage": True},
        "chat_template_kwargs": {"enable_thinking": False},
    },
    "/v1/completions": {
        "max_tokens": 2,
        "prompt": ["a", [1, 2]],
        "logprobs": 1,
        "prompt_logprobs": 1,
        "stop": ["x"],
        "logit_bias": {"1": 1},
        "structured_outputs": {"choice": ["a", "b"]},
    },
    "/v1/responses": {
        "max_output_tokens": 2,
        "input": [
            {"role": "developer", "content": "s"},
            {"role": "user", "content": [{"type": "input_text", "text": "u"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "r"}]},
            _CALLED,
            {"type": "function_call_output", "call_id": "1", "output": "t"},
        ],
        "tools": [{"type": "function", **_FUNCTION}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "boolean"}}},
        "reasoning": {"effort": "low"},
        "include": ["message.output_text.logprobs"],
        "metadata": {"a": "b"},
    },
    "/v1/messages": {
        "max_tokens": 2,
        "system": [{"type": "text", "text": "s"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "u"}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "r"}, _USE]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1",
                                          "content": [{"type": "text", "text": "t"}]}]},
        ],
        "tools": [{"name": "f", "description": "d", "input_schema": PARAMETERS}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 5},
        "output_config": {"effort": "low",
                          "format": {"type": "json_schema", "schema": {"type": "boolean"}}},
        "stop_sequences": ["x"],
    },
    "/v1/embeddings": {"input": ["a", [1, 2]], "dimensions": 2},
}  # fmt: skip


def wrong_within(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The body with each value, however deep, replaced by each of ``VALUES``, or left out."""
    for path in list(_paths(body)):
        for value in VALUES:
            changed = deepcopy(body)
            _parent(changed, path)[path[-1]] = value
            yield changed
        changed = deepcopy(body)
        del _parent(changed, path)[path[-1]]
        yield changed


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (key,)
        if isinstance(inner, dict | list):
            yield from ((key, *rest) for rest in _paths(inner))


def _parent(body: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        body = body[key]
    return body
