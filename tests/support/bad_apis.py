"""Requests to refuse of the newer endpoints: embeddings, responses, Anthropic's messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.bad_requests import HI, Bad

EMBEDDINGS, RESPONSES, MESSAGES = "/v1/embeddings", "/v1/responses", "/v1/messages"
COUNTS = {RESPONSES: "/v1/responses/input_tokens", MESSAGES: "/v1/messages/count_tokens"}
DEEP_JSON = "[" * 100_000


def bad_embeddings() -> Iterator[Bad]:
    """Embeddings with one field wrong."""
    for field, value in [
        ("input", None),
        ("input", ""),
        ("input", []),
        ("input", {}),
        ("input", 7),
        ("input", True),
        ("input", [None]),
        ("input", ["a", 1]),
        ("input", [["a"]]),
        ("input", [[]]),
        ("input", [1.5]),
        ("input", [-1]),
        ("input", [10**30]),
        ("input", ["a", ""]),
        ("input", "\ud800"),
        ("input", "x" * 10_000),
        ("input", ["a", "x" * 10_000]),
        ("input", ["a"] * 2049),
        ("input", [{"text": "a"}]),
        ("encoding_format", "hex"),
        ("encoding_format", ["float"]),
        ("encoding_format", True),
        ("dimensions", 0),
        ("dimensions", -1),
        ("dimensions", 10**30),
        ("dimensions", 1.5),
        ("dimensions", "8"),
        ("dimensions", True),
        ("pooling", "max"),
        ("pooling", 1),
        ("pooling", ["mean"]),
        ("priority", "high"),
        ("timeout", -1),
        ("model", "text-embedding-none"),
        ("model", 7),
    ]:
        yield Bad(f"embeddings {field}: {value!r:.40}", EMBEDDINGS, {"input": "a", field: value})


def bad_responses() -> Iterator[Bad]:
    """Responses with one item or field wrong."""
    call = {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "1", "output": "a"}
    image = {"type": "input_image", "image_url": "http://127.0.0.1:1/"}
    for name, items in {
        "null": None,
        "none": [],
        "number": 7,
        "object": {},
        "surrogate": "\ud800",
        "too long": "x" * 100_000,
        "too many": HI * 2049,
        "text": ["hi"],
        "list": [HI],
        "no role": [{"content": "a"}],
        "role of a tool": [{"role": "tool", "content": "a"}],
        "role of a list": [{"role": ["user"], "content": "a"}],
        "role of an object": [{"role": {}, "content": "a"}],
        "no content": [{"role": "user"}],
        "content of a number": [{"role": "user", "content": 1}],
        "content of an object": [{"role": "user", "content": {"text": "a"}}],
        "content of texts": [{"role": "user", "content": ["a"]}],
        "image": [{"role": "user", "content": [image]}],
        "part without a text": [{"role": "user", "content": [{"type": "input_text"}]}],
        "part without a type": [{"role": "user", "content": [{"text": "a"}]}],
        "type of a list": [{"type": ["message"], "role": "user", "content": "a"}],
        "unknown type": [{"type": "computer_call"}],
        "reference": [{"type": "item_reference", "id": "msg_1"}],
        "call without an id": [{**call, "call_id": None}],
        "call without a name": [{**call, "name": None}],
        "call of a number": [{**call, "name": 7}],
        "call of an object": [{**call, "arguments": {}}],
        "call of cut JSON": [{**call, "arguments": "{"}],
        "call of deep JSON": [{**call, "arguments": DEEP_JSON}],
        "output of no call": [output],
        "output before its call": [output, call],
        "output of a number": [call, {**output, "output": 7}],
        "output of null": [call, {**output, "output": None}],
        "output with an id of a list": [call, {**output, "call_id": ["1"]}],
        "thoughts of a number": [{"type": "reasoning", "summary": 7}],
        "thoughts of texts": [{"type": "reasoning", "summary": ["a"]}],
    }.items():
        yield Bad(f"input: {name}", RESPONSES, {"input": items})
        if name != "too long":  # how long it is can be told
            yield Bad(f"counted input: {name}", COUNTS[RESPONSES], {"input": items})
    function = {"type": "function", "name": "f"}
    for field, value in [
        ("instructions", 7),
        ("instructions", ["a"]),
        ("max_output_tokens", -1),
        ("max_output_tokens", "8"),
        ("max_output_tokens", True),
        ("max_output_tokens", 10**30),
        ("n", 2),
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("conversation", {"id": "conv_1"}),
        ("prompt", {"id": "pmpt_1"}),
        ("background", True),
        ("background", "no"),
        ("store", "yes"),
        ("stream", "yes"),
        ("truncation", "auto"),
        ("truncation", 7),
        ("include", "all"),
        ("include", ["file_search_call.results"]),
        ("include", [["a"]]),
        ("include", [{}]),
        ("include", ["reasoning.encrypted_content"] * 3),
        ("top_logprobs", 2),
        ("top_logprobs", 21),
        ("metadata", ["a"]),
        ("metadata", {"a": 1}),
        ("metadata", {f"a{i}": "" for i in range(17)}),
        ("reasoning", "high"),
        ("reasoning", {"effort": "huge"}),
        ("reasoning", {"effort": 7}),
        ("reasoning", {"effort": ["high"]}),
        ("reasoning", {"effort": {}}),
        ("text", "json"),
        ("text", {"format": "json_object"}),
        ("text", {"format": {"type": "yaml"}}),
        ("text", {"format": {"type": ["text"]}}),
        ("text", {"format": {"type": "json_schema"}}),
        ("text", {"format": {"type": "json_schema", "schema": "a"}}),
        ("text", {"format": {"type": "json_schema", "schema": {"type": "text"}}}),
        ("tools", {}),
        ("tools", ["f"]),
        ("tools", [None]),
        ("tools", [{"type": "function"}]),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tools", [{"type": "web_search"}]),
        ("tools", [{"type": "mcp", "server_url": "http://127.0.0.1:1/"}]),
        ("tools", [{"type": ["function"], "name": "f"}]),
        ("tools", [function, function]),
        ("tools", [{"type": "function", "name": f"f{i}"} for i in range(129)]),
        ("tool_choice", "required"),
        ("tool_choice", "sometimes"),
        ("tool_choice", 7),
        ("tool_choice", ["auto"]),
        ("tool_choice", function),
        ("tool_choice", {"type": "web_search"}),
        ("tool_choice", {"type": ["function"], "name": "f"}),
        ("parallel_tool_calls", "no"),
        ("temperature", -1),
        ("top_p", 2),
        ("priority", 1.5),
        ("timeout", 0),
        ("model", "gpt-none"),
    ]:
        yield Bad(f"responses {field}: {value!r:.50}", RESPONSES, {"input": "a", field: value})


def bad_messages() -> Iterator[Bad]:
    """Anthropic's messages with one block or field wrong."""
    use = {"type": "tool_use", "id": "1", "name": "f", "input": {}}
    called = {"role": "assistant", "content": [use]}
    result = {"type": "tool_result", "tool_use_id": "1"}

    def user(*blocks: object) -> dict[str, Any]:
        return {"role": "user", "content": [*blocks]}

    for name, messages in {
        "null": None,
        "none": [],
        "text": "hi",
        "object": {},
        "texts": ["hi"],
        "too many": HI * 2049,
        "too long": [{"role": "user", "content": "x" * 100_000}],
        "surrogate": [{"role": "user", "content": "\ud800"}],
        "no role": [{"content": "a"}],
        "role of the system": [{"role": "system", "content": "a"}],
        "role of a list": [{"role": ["user"], "content": "a"}],
        "role of an object": [{"role": {}, "content": "a"}],
        "no content": [{"role": "user"}],
        "content of a number": [{"role": "user", "content": 1}],
        "content of an object": [{"role": "user", "content": {"type": "text", "text": "a"}}],
        "blocks of texts": [user("a")],
        "blocks of lists": [user([{"type": "text", "text": "a"}])],
        "block without a type": [user({"text": "a"})],
        "block without a text": [user({"type": "text"})],
        "type of a list": [user({"type": ["text"], "text": "a"})],
        "image": [user({"type": "image", "source": {"type": "url", "url": "http://127.0.0.1:1/"}})],
        "document": [user({"type": "document", "source": {"type": "file", "file_id": "/etc"}})],
        "use by the user": [user(use)],
        "use without an id": [{"role": "assistant", "content": [{**use, "id": None}]}],
        "use without a name": [{"role": "assistant", "content": [{**use, "name": 7}]}],
        "use of text": [{"role": "assistant", "content": [{**use, "input": "{}"}]}],
        "use of null": [{"role": "assistant", "content": [{**use, "input": None}]}],
        "thoughts of null": [{"role": "assistant", "content": [{"type": "thinking"}]}],
        "result of no use": [user(result)],
        "result before its use": [user(result), called],
        "result by the assistant": [called, {"role": "assistant", "content": [result]}],
        "result without an id": [called, user({"type": "tool_result"})],
        "result with an id of a list": [called, user({**result, "tool_use_id": ["1"]})],
        "result of a number": [called, user({**result, "content": 7})],
        "result of texts": [called, user({**result, "content": ["a"]})],
        "result of an image": [called, user({**result, "content": [{"type": "image"}]})],
    }.items():
        body = {"messages": messages}
        yield Bad(f"Anthropic's messages: {name}", MESSAGES, {**body, "max_tokens": 4})
        if name != "too long":
            yield Bad(f"counted messages: {name}", COUNTS[MESSAGES], body)
    tool = {"name": "f", "input_schema": {"type": "object"}}
    for field, value in [
        ("max_tokens", None),
        ("max_tokens", -1),
        ("max_tokens", 1.5),
        ("max_tokens", "8"),
        ("max_tokens", True),
        ("max_tokens", 10**30),
        ("system", 7),
        ("system", {}),
        ("system", ["a"]),
        ("system", [{"type": "image"}]),
        ("system", [{"type": "text", "text": 7}]),
        ("system", "\ud800"),
        ("stop_sequences", "a"),
        ("stop_sequences", [1]),
        ("stop_sequences", [""]),
        ("stop_sequences", ["a"] * 17),
        ("stop_sequences", ["a" * 1025]),
        ("stream", 1),
        ("temperature", -1),
        ("temperature", "0"),
        ("top_k", -1),
        ("top_p", 0),
        ("tools", {}),
        ("tools", ["f"]),
        ("tools", [{"name": "f"}]),
        ("tools", [{"name": "f", "input_schema": "a"}]),
        ("tools", [{"name": 7, "input_schema": {}}]),
        ("tools", [{**tool, "type": "computer_20250124"}]),
        ("tools", [{**tool, "type": ["custom"]}]),
        ("tools", [tool, tool]),
        ("tools", [{**tool, "name": f"f{i}"} for i in range(129)]),
        ("tool_choice", "auto"),
        ("tool_choice", {"type": "required"}),
        ("tool_choice", {"type": ["auto"]}),
        ("tool_choice", {"type": "any"}),
        ("tool_choice", {"type": "tool"}),
        ("tool_choice", {"type": "tool", "name": "f"}),
        ("tool_choice", {"type": "tool", "name": 7}),
        ("tool_choice", {"type": "auto", "disable_parallel_tool_use": "no"}),
        ("thinking", True),
        ("thinking", {"type": "always"}),
        ("thinking", {"type": ["enabled"]}),
        ("thinking", {"type": {}}),
        ("thinking", {"type": "enabled", "budget_tokens": 0}),
        ("thinking", {"type": "enabled", "budget_tokens": "many"}),
        ("thinking", {"type": "enabled", "budget_tokens": 10**30}),
        ("output_config", "json"),
        ("output_config", {"effort": "huge"}),
        ("output_config", {"effort": ["low"]}),
        ("output_config", {"format": "json"}),
        ("output_config", {"format": {"type": "json_object"}}),
        ("output_config", {"format": {"type": "json_schema"}}),
        ("output_config", {"format": {"type": "json_schema", "schema": {"type": "text"}}}),
        ("timeout", "1s"),
        ("model", "claude-none"),
    ]:
        body = {"messages": HI, "max_tokens": 4, field: value}
        yield Bad(f"Anthropic's {field}: {value!r:.50}", MESSAGES, body)
