"""huggingface_hub's InferenceClient: chats, tools; argv: three addresses."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError

LETTERS, JSON, CALLS = sys.argv[1:]
HI = [{"role": "user", "content": "abc"}]


async def streamed() -> str:
    async with AsyncInferenceClient(base_url=LETTERS, api_key="any") as client:
        stream = await client.chat.completions.create(
            model="letters", messages=HI, max_tokens=3, stream=True
        )
        return "".join([part.choices[0].delta.content or "" async for part in stream])


with InferenceClient(base_url=LETTERS, api_key="any") as client:
    answer = client.chat_completion(
        HI, model="letters", max_tokens=3, logprobs=True, top_logprobs=2
    )
    assert answer.choices[0].message.content == "abc", answer
    assert answer.usage.completion_tokens == 3, answer
    assert [entry.token for entry in answer.choices[0].logprobs.content] == list("abc"), answer

    usage = {"include_usage": True}
    stream = client.chat_completion(
        HI, model="letters", max_tokens=3, stream=True, stream_options=usage
    )
    parts = list(stream)
    texts = [part.choices[0].delta.content for part in parts if part.choices]
    assert "".join(text for text in texts if text) == "abc", parts
    assert parts[-1].usage.completion_tokens == 3, parts

    with pytest.raises(HfHubHTTPError, match="top_p=7"):
        client.chat_completion(HI, model="letters", top_p=7)

assert asyncio.run(streamed()) == "abc"

with InferenceClient(base_url=JSON, api_key="any") as client:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "boolean"}}}
    answer = client.chat_completion(HI, model="json", max_tokens=8, response_format=form)
    assert json.loads(answer.choices[0].message.content) in (True, False), answer

properties = {"city": {"type": "string"}, "days": {"type": "integer"}}
parameters = {"type": "object", "properties": properties}
tools = [{"type": "function", "function": {"name": "Weather", "parameters": parameters}}]
with InferenceClient(base_url=CALLS, api_key="any") as client:
    answer = client.chat_completion(HI, model="calls", max_tokens=200, tools=tools)
    (call,) = answer.choices[0].message.tool_calls
    stream = client.chat_completion(HI, model="calls", max_tokens=200, tools=tools, stream=True)
    deltas = [part.choices[0].delta for part in stream]
    begun = [one.tool_calls[0].function for one in deltas if one.tool_calls]
    arguments = "".join(function.arguments or "" for function in begun)
    for name, told in ((call.function.name, call.function.arguments), (begun[0].name, arguments)):
        assert name == "Weather", answer
        assert json.loads(told)["city"] == "Bern", answer
