"""Whatever is sent to responses and messages: an answer, or a refusal with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.servers import Served

WORDS = st.sampled_from(
    ["a", "", "user", "assistant", "text", "type", "tool_use", "tool_result", "function_call",
     "function_call_output", "reasoning", "message", "json_schema", "function", "auto", "any",
     "tool", "enabled", "name", "c1"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 1 << 70) | st.floats(allow_nan=False) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            WORDS | st.sampled_from(["role", "content", "id", "input", "schema", "format", "text",
                                     "call_id", "arguments", "output", "tool_use_id", "effort",
                                     "budget_tokens", "thinking", "summary"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip
RESPONSES = (
    "input", "instructions", "tools", "tool_choice", "text", "reasoning", "max_output_tokens",
    "temperature", "top_p", "top_logprobs", "include", "metadata", "store", "truncation", "stream",
    "parallel_tool_calls", "background", "previous_response_id", "n", "stop",
)  # fmt: skip
MESSAGES = (
    "messages", "system", "tools", "tool_choice", "max_tokens", "temperature", "top_p", "top_k",
    "stop_sequences", "thinking", "output_config", "metadata", "stream", "priority", "timeout",
)  # fmt: skip
SOUND: dict[str, dict[str, Any]] = {
    "/v1/responses": {"input": "a", "max_output_tokens": 2},
    "/v1/messages": {"messages": [{"role": "user", "content": "a"}], "max_tokens": 2},
}


def fields(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), VALUES, min_size=1, max_size=3)


@pytest.mark.parametrize(
    ("path", "names"), [("/v1/responses", RESPONSES), ("/v1/messages", MESSAGES)]
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_request_is_answered_or_refused(
    path: str, names: tuple[str, ...], data: st.DataObject, served: Served
) -> None:
    changes = data.draw(fields(names))
    answer = served.post(path, {**SOUND[path], **changes})
    assert answer.status in (200, 400, 404)
    if answer.status != 200:
        assert answer.error["message"]
    elif changes.get("stream") is not True:
        assert answer.json["model"] == "letters"
