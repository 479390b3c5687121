"""litellm: chats, errors by kind, tools, embeddings; argv: three addresses."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import litellm
import pytest

LETTERS, JSON, CALLS = sys.argv[1:]
CHAT, COMPLETION = "openai/letters", "text-completion-openai/letters"
HI = [{"role": "user", "content": "abc"}]


def asked(url: str = LETTERS, **options: Any) -> dict[str, Any]:
    return {"api_base": url, "api_key": "any", "max_tokens": 3, "num_retries": 0, **options}


answer = litellm.completion(model=CHAT, messages=HI, **asked())
assert answer.choices[0].message.content == "abc", answer
assert answer.usage.completion_tokens == 3, answer

streamed = asked(stream=True, stream_options={"include_usage": True})
parts = list(litellm.completion(model=CHAT, messages=HI, **streamed))
texts = [part.choices[0].delta.content for part in parts if part.choices]
assert "".join(text for text in texts if text) == "abc", parts
assert parts[-1].usage.completion_tokens == 3, parts

answer = litellm.text_completion(model=COMPLETION, prompt="abc", **asked())
assert answer.choices[0].text == "def", answer

answer = asyncio.run(litellm.acompletion(model=CHAT, messages=HI, **asked()))
assert answer.choices[0].message.content == "abc", answer

form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "boolean"}}}
answer = litellm.completion(model="openai/json", messages=HI, **asked(JSON, response_format=form))
assert answer.choices[0].message.content in ("true", "false", "tru", "fal"), answer

LONG = [{"role": "user", "content": "a" * 100}]
for kind, said, model, messages, options in [
    (litellm.BadRequestError, "top_p=7", CHAT, HI, {"top_p": 7}),
    (litellm.NotFoundError, "no model", "openai/none", HI, {}),
    (litellm.ContextWindowExceededError, "more than the context of 64", CHAT, LONG, {}),
]:
    with pytest.raises(kind, match=said):
        litellm.completion(model=model, messages=messages, **asked(**options))

ARGUMENTS = {"city": "Bern", "days": 3}
properties = {"city": {"type": "string"}, "days": {"type": "integer"}}
parameters = {"type": "object", "properties": properties, "required": ["city", "days"]}
tools = [{"type": "function", "function": {"name": "Weather", "parameters": parameters}}]
calling = asked(CALLS, tools=tools, max_tokens=200)
answer = litellm.completion(model="openai/calls", messages=HI, **calling)
parts = list(litellm.completion(model="openai/calls", messages=HI, **calling, stream=True))
for told in (answer, litellm.stream_chunk_builder(parts, messages=HI)):
    (choice,) = told.choices
    assert choice.finish_reason == "tool_calls", told
    assert choice.message.content == "I look.", told
    (call,) = choice.message.tool_calls
    assert call.function.name == "Weather", told
    assert json.loads(call.function.arguments) == ARGUMENTS, told

access = {"api_base": LETTERS, "api_key": "any"}
made = litellm.embedding(model=CHAT, input=["abc", "x"], encoding_format="float", **access)
assert [one["index"] for one in made.data] == [0, 1], made
assert sum(number**2 for number in made.data[0]["embedding"]) == pytest.approx(1), made
