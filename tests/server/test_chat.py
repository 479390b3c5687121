from __future__ import annotations

from typing import Any

import pytest
from support.servers import Served

PARTS = [{"type": "text", "text": "z"}, {"type": "text", "text": "a"}]
CHAT = {"model": "letters", "messages": [{"role": "user", "content": "abc"}], "max_tokens": 4}


def test_chat_answers_as_openai_does(served: Served) -> None:
    answer = served.post("/v1/chat/completions", CHAT)
    assert answer.status == 200
    told = answer.json
    assert (told["object"], told["model"]) == ("chat.completion", "letters")
    assert told["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "abcd", "refusal": None},
            "logprobs": None,
            "finish_reason": "length",
        }
    ]
    usage = told["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (4, 4, 8)
    assert answer.headers["x-request-id"]
    assert "x-nanoaccel-ignored" not in answer.headers


def test_chat_streams_as_openai_does(served: Served) -> None:
    asked = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    answer = served.post("/chat/completions", asked)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    first, *parts, end, usage = answer.events
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(part["choices"][0]["delta"]["content"] for part in parts) == "abcd"
    assert all(part["usage"] is None for part in [first, *parts, end])
    assert (end["choices"][0]["delta"], end["choices"][0]["finish_reason"]) == ({}, "length")
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 8)
    assert len({part["id"] for part in answer.events}) == 1


def test_chat_without_a_model_takes_the_first(served: Served) -> None:
    asked = {name: value for name, value in CHAT.items() if name != "model"}
    assert served.post("/v1/chat/completions", asked).json["model"] == "letters"


def test_chat_ends_where_the_context_does(served: Served) -> None:
    asked = {**CHAT, "max_tokens": None, "ignore_eos": True}
    told = served.post("/v1/chat/completions", asked).json
    assert told["choices"][0]["finish_reason"] == "length"
    assert told["usage"]["total_tokens"] == 64


@pytest.mark.parametrize(
    ("changes", "text", "reason"),
    [
        ({"stop": "c"}, "ab", "stop"),
        ({"stop": ["x", "bc"]}, "a", "stop"),
        ({"max_completion_tokens": 2}, "ab", "length"),
        ({"logit_bias": {"0": -100}, "max_tokens": 1, "temperature": 0}, None, "length"),
        ({"messages": [{"role": "user", "content": PARTS}]}, "abcd", "length"),
        ({"messages": [{"role": "developer", "content": "x"}]}, "abcd", "length"),
        ({"tool_choice": "none", "tools": []}, "abcd", "length"),
        ({"response_format": {"type": "text"}}, "abcd", "length"),
        ({"reasoning_effort": "low"}, "abcd", "length"),
    ],
)  # fmt: skip
def test_chat_obeys(changes: dict[str, Any], text: str | None, reason: str, served: Served) -> None:
    choice = served.post("/v1/chat/completions", {**CHAT, **changes}).json["choices"][0]
    assert choice["finish_reason"] == reason
    assert text is None or choice["message"]["content"] == text


@pytest.mark.parametrize("stream", [False, True])
def test_chat_writes_several_choices(stream: bool, served: Served) -> None:
    asked = {**CHAT, "n": 3, "temperature": 0, "stream": stream}
    answer = served.post("/v1/chat/completions", asked)
    if stream:
        texts = ["", "", ""]
        for part in answer.events:
            choice = part["choices"][0]
            texts[choice["index"]] += choice["delta"].get("content", "")
    else:
        texts = [choice["message"]["content"] for choice in answer.json["choices"]]
        assert answer.json["usage"]["completion_tokens"] == 12
    assert texts == ["abcd"] * 3


def test_chat_with_a_seed_is_the_same_again(served: Served) -> None:
    asked = {**CHAT, "temperature": 1.5, "seed": 7}
    texts = {
        served.post("/v1/chat/completions", asked).json["choices"][0]["message"]["content"]
        for _ in range(3)
    }
    assert len(texts) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_chat_tells_logprobs(stream: bool, served: Served) -> None:
    asked = {**CHAT, "logprobs": True, "top_logprobs": 2, "stream": stream}
    answer = served.post("/v1/chat/completions", asked)
    parts = answer.events if stream else [answer.json]
    told = [part["choices"][0]["logprobs"] for part in parts if part["choices"][0]["logprobs"]]
    entries = [entry for logprobs in told for entry in logprobs["content"]]
    assert [entry["token"] for entry in entries] == list("abcd")
    assert [entry["bytes"] for entry in entries] == [[97], [98], [99], [100]]
    assert all(len(entry["top_logprobs"]) == 2 and entry["logprob"] <= 0 for entry in entries)


def test_chat_names_what_it_ignores(served: Served) -> None:
    asked = {**CHAT, "user": "me", "never\r\nX-Forged: 1": 1, "store": None}
    answer = served.post("/v1/chat/completions", asked)
    assert answer.status == 200
    assert answer.headers["x-nanoaccel-ignored"] == r"user, never\r\nX-Forged: 1"
    assert "x-forged" not in answer.headers


def test_chat_that_times_out_ends_with_what_there_is(served: Served) -> None:
    answer = served.post("/v1/chat/completions", {**CHAT, "timeout": 1e-6})
    assert answer.json["choices"][0]["finish_reason"] == "length"
