"""OpenAI's own client, as its users have it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import openai
import pytest
from support.servers import Served

MESSAGES: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "abc"}]


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.url, api_key="any", max_retries=0) as opened:
        yield opened


def test_openai_lists_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["letters"]
    assert client.models.retrieve("letters").owned_by == "nanoaccel"
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-4'"):
        client.models.retrieve("gpt-4")


def test_openai_chats(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="letters", messages=MESSAGES, max_tokens=3, n=2, logprobs=True, top_logprobs=1
    )
    assert [choice.message.content for choice in answer.choices] == ["abc", "abc"]
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert [entry.token for entry in logprobs.content] == list("abc")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 10


def test_openai_streams_a_chat(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="letters", messages=MESSAGES, max_tokens=3, stream_options={"include_usage": True}
    ) as stream:
        events = list(stream)
        answer = stream.current_completion_snapshot
    assert [event.delta for event in events if event.type == "content.delta"] == ["", *"abc"]
    assert answer.choices[0].message.content == "abc"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


def test_openai_completes(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="letters", prompt=["a", "x"], max_tokens=2)
    assert [choice.text for choice in answer.choices] == ["bc", "yz"]
    stream = client.completions.create(model="letters", prompt="a", max_tokens=2, stream=True)
    assert "".join(part.choices[0].text for part in stream) == "bc"


def test_openai_raises_what_is_wrong(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature=-1") as caught:
        client.chat.completions.create(model="letters", messages=MESSAGES, temperature=-1)
    assert (caught.value.param, caught.value.code) == ("temperature", "invalid_value")


async def _async_text(served: Served) -> str:
    async with openai.AsyncOpenAI(base_url=served.url, api_key="any") as client:
        stream = await client.chat.completions.create(
            model="letters", messages=MESSAGES, max_tokens=3, stream=True
        )
        parts = [part.choices[0].delta.content async for part in stream]
        return "".join(part for part in parts if part is not None)


def test_async_openai_streams(served: Served) -> None:
    assert asyncio.run(_async_text(served)) == "abc"
