"""Anthropic's own client, and what its users send, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from support.fake_llms import WatchedBackend
from support.servers import Served, serving

MESSAGES: list[anthropic.types.MessageParam] = [{"role": "user", "content": "abc"}]
ASKED: dict[str, Any] = {"model": "letters", "max_tokens": 3, "messages": MESSAGES}
TOOL: dict[str, Any] = {"name": "look", "description": "Looks", "input_schema": {"type": "object"}}
RESULT = {"type": "tool_result", "tool_use_id": "t"}


@pytest.fixture
def client(served: Served) -> Iterator[anthropic.Anthropic]:
    url = served.url.removesuffix("/v1")
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as opened:
        yield opened


def test_anthropic_writes_a_message(client: anthropic.Anthropic) -> None:
    message = client.messages.create(model="letters", max_tokens=3, messages=MESSAGES)
    assert message.role == "assistant"
    assert message.model == "letters"
    (block,) = message.content
    assert block.type == "text"
    assert block.text == "abc"
    assert (message.stop_reason, message.stop_sequence) == ("max_tokens", None)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 3)
    assert message.usage.cache_read_input_tokens == 0


def test_anthropic_streams_a_message(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="letters", max_tokens=3, messages=MESSAGES) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_message()
    raw = [kind for kind in kinds if kind != "text"]
    assert raw[:2] == ["message_start", "content_block_start"]
    assert raw[2:-3] == ["content_block_delta"] * 3
    assert raw[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert message.content[0].to_dict() == {"type": "text", "text": "abc"}
    assert message.stop_reason == "max_tokens"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 3)


async def _async_text(served: Served) -> str:
    url = served.url.removesuffix("/v1")
    async with (
        anthropic.AsyncAnthropic(base_url=url, api_key="any") as client,
        client.messages.stream(model="letters", max_tokens=3, messages=MESSAGES) as stream,
    ):
        return "".join([text async for text in stream.text_stream])


def test_async_anthropic_streams(served: Served) -> None:
    assert asyncio.run(_async_text(served)) == "abc"


@pytest.mark.parametrize("stream", [False, True])
def test_stop_sequence_is_told(stream: bool, client: anthropic.Anthropic) -> None:
    asked = {**ASKED, "max_tokens": 20, "stop_sequences": ["x", "de"]}
    if stream:
        with client.messages.stream(**asked) as streamed:
            message = streamed.get_final_message()
    else:
        message = client.messages.create(**asked)
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "de")
    assert message.content[0].to_dict()["text"] == "abc"


def test_no_tokens_compute_the_conversation_alone(client: anthropic.Anthropic) -> None:
    message = client.messages.create(**{**ASKED, "max_tokens": 0})
    assert (message.stop_reason, message.content) == ("max_tokens", [])
    assert message.usage.output_tokens == 0


def test_end_of_the_text_ends_the_turn(client: anthropic.Anthropic) -> None:
    message = client.messages.create(**{**ASKED, "max_tokens": 30})
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)


def test_cached_tokens_are_told_apart(client: anthropic.Anthropic) -> None:
    asked = {**ASKED, "messages": [{"role": "user", "content": "a" * 40}]}
    client.messages.create(**asked)
    usage = client.messages.create(**asked).usage
    assert usage.cache_read_input_tokens is not None
    assert usage.cache_read_input_tokens > 0
    assert usage.input_tokens + usage.cache_read_input_tokens == 41


def test_anthropic_counts_tokens(client: anthropic.Anthropic) -> None:
    counted = client.messages.count_tokens(model="letters", messages=MESSAGES, system="xy")
    assert counted.input_tokens == 7


def test_conversation_reaches_the_template(served: Served) -> None:
    conversation = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": ""},
                {"type": "text", "text": "c"},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "d"},
                {"type": "text", "text": "e"},
            ],
        },
    ]
    body = {**ASKED, "system": [{"type": "text", "text": "s"}], "messages": conversation}
    answer = served.post("/v1/messages/count_tokens", body)
    # s. a\nb. c. d. e.: the template writes what each message has, and a dot.
    assert answer.json == {"input_tokens": 12}


def test_last_message_of_the_assistant_is_continued(client: anthropic.Anthropic) -> None:
    said = [*MESSAGES, {"role": "assistant", "content": "xyzabc"}]
    message = client.messages.create(**{**ASKED, "messages": said})
    assert message.content[0].to_dict()["text"] == "def"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"max_tokens": None}, "max_tokens is missing"),
        ({"max_tokens": -1}, "max_tokens=-1"),
        ({"messages": []}, "messages is missing"),
        ({"messages": [{"role": "system", "content": "x"}]}, "no role user or assistant"),
        ({"messages": [{"role": "user", "content": 7}]}, "no string and no list of blocks"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "reads text only"),
        (
            {"messages": [{"role": "user", "content": [RESULT]}]},
            "no message before it called that",
        ),
        ({"tools": [{"type": "web_search_20250305", "name": "w"}]}, "cannot run"),
        ({"tools": [{"name": "w"}]}, "no input_schema"),
        ({"tool_choice": {"type": "any"}}, "there are no tools"),
        ({"tool_choice": {"type": "tool", "name": "b"}, "tools": [TOOL]}, "is no tool"),
        ({"tool_choice": {"type": "must"}}, "auto, any, tool, none"),
        ({"thinking": {"type": "much"}}, "thinking.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "budget_tokens=0"),
        ({"output_config": {"effort": "huge"}}, "effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "json_schema"),
        ({"temperature": -1}, "temperature=-1"),
        ({"stop_sequences": ["x"] * 99}, "at most|At most"),
        ({"max_tokens": 62}, "more than the context of 64"),
    ],
)  # fmt: skip
def test_refusals_are_told_as_anthropic_does(
    changes: dict[str, Any], told: str, client: anthropic.Anthropic
) -> None:
    with pytest.raises(anthropic.BadRequestError, match=told) as caught:
        client.post("/v1/messages", cast_to=object, body={**ASKED, **changes})
    body = caught.value.body
    assert isinstance(body, dict)
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"


def test_other_errors_have_their_kinds(letters: Path) -> None:
    with serving(letters, api_keys=("secret",)) as served:
        url = served.url.removesuffix("/v1")
        stranger = anthropic.Anthropic(base_url=url, api_key="wrong", max_retries=0)
        with pytest.raises(anthropic.AuthenticationError, match="no valid API key") as caught:
            stranger.messages.create(**ASKED)
        assert caught.value.type == "authentication_error"
        friend = anthropic.Anthropic(base_url=url, api_key="secret", max_retries=0)
        assert friend.messages.create(**ASKED).stop_reason == "max_tokens"
        with pytest.raises(anthropic.NotFoundError) as missing:
            friend.messages.create(**{**ASKED, "model": "gpt"})
        assert missing.value.type == "not_found_error"
        assert served.get("/v1/messages").json["error"]["type"] == "invalid_request_error"


def test_failure_in_mid_stream_is_an_event(
    served: Served, backend: WatchedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise ValueError("broken")

    served.post("/v1/messages", ASKED)
    monkeypatch.setattr(backend, "forward", fail)
    body = served.post("/v1/messages", {**ASKED, "stream": True}).body.decode()
    assert body.count("event: message_start\n") == 1
    assert body.rstrip().split("\n\n")[-1].startswith("event: error\n")
    assert '"type":"api_error"' in body


def test_silent_message_is_pinged(letters: Path, backends: list[WatchedBackend]) -> None:
    with serving(letters, ping=0.05) as served:
        backends[0].seconds = 0.3
        body = served.post("/v1/messages", {**ASKED, "stream": True}).body.decode()
    assert 'event: ping\ndata: {"type":"ping"}\n\n' in body
    assert "[DONE]" not in body
