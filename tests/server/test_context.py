"""Prompts that do not fit the context of 64 tokens, and what is told while they are computed."""

from __future__ import annotations

import re
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.disk_tiers import wait_until
from support.fake_llms import CONTEXT, WatchedBackend
from support.servers import Answer, Served, serving

from nanoaccel.server.api_error import ApiError
from nanoaccel.server.generation.context_length import check_length

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
LONG = {"ignore_eos": True, "stream": True, "return_progress": True}


def chat(letters: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": "a" * letters}]


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (
            COMPLETIONS,
            {"prompt": "a" * 60, "max_tokens": 10},
            "has 60 .* max_tokens is 10: together 70, 6 more than the context of 64",
        ),
        (COMPLETIONS, {"prompt": "a" * 70}, "has 70 .* not given, .* 7 more than the context"),
        (
            COMPLETIONS,
            {"prompt": ["a", "a" * 70], "max_tokens": 5},
            "has 70 .* is 5: 11 more than the context of 64",
        ),
        (
            CHAT,
            {"messages": chat(59), "max_completion_tokens": 5},
            "has 60 .* is 5: together 65, 1 more than the context of 64.* ask for 4",
        ),
    ],
)
def test_what_does_not_fit_is_told_in_numbers(
    path: str, body: dict[str, Any], told: str, served: Served
) -> None:
    answer = served.post(path, body)
    assert (answer.status, answer.error["code"]) == (400, "context_length_exceeded")
    assert re.search(told, answer.error["message"])


@pytest.mark.parametrize("n", [1, 2])
def test_prompt_that_is_only_scored_may_fill_the_context(n: int, served: Served) -> None:
    asked = {"prompt": "a" * CONTEXT, "max_tokens": 0, "echo": True, "logprobs": 0, "n": n}
    for _ in range(2):  # the second time from the cache
        choices = served.post(COMPLETIONS, asked).json["choices"]
        assert [len(one["logprobs"]["tokens"]) for one in choices] == [CONTEXT] * n
    answer = served.post(COMPLETIONS, {**asked, "prompt": "a" * (CONTEXT + 1)})
    assert "is 0: 1 more than the context" in answer.error["message"]


def test_length_that_is_left_open_is_what_fits(served: Served) -> None:
    asked = {"prompt": "a" * 60, "ignore_eos": True}
    told = served.post(COMPLETIONS, asked).json
    assert told["usage"] == {**told["usage"], "prompt_tokens": 60, "completion_tokens": 4}
    assert told["choices"][0]["finish_reason"] == "length"
    told = served.post(COMPLETIONS, {**asked, "max_tokens": 4}).json
    assert told["usage"]["completion_tokens"] == 4


@settings(suppress_health_check=list(HealthCheck))
@given(st.integers(1, 100), st.integers(1, 100))
def test_length_is_refused_if_and_only_if_it_does_not_fit(prompt: int, most: int) -> None:
    fits: AbstractContextManager[object] = nullcontext()
    refused = pytest.raises(ApiError)
    with fits if prompt + most <= CONTEXT else refused:
        check_length(prompt, most, CONTEXT)


def test_prompt_tells_its_progress(letters: Path) -> None:
    with serving(letters, engine={"max_step_tokens": 16}) as served:
        body = {"prompt": "a" * 40, "max_tokens": 1, **LONG}
        events = served.post(COMPLETIONS, body).events
        plain = served.post(COMPLETIONS, {**body, "return_progress": False}).events
        whole = served.post(COMPLETIONS, {**body, "stream": False}).json
    told = [event["prompt_progress"] for event in events if "prompt_progress" in event]
    assert [each["processed"] for each in told] == [0, 16, 32, 40]
    assert all((each["total"], each["cache"]) == (40, 0) for each in told)
    assert all(each["time_ms"] >= 0 for each in told)
    assert "".join(event["choices"][0]["text"] for event in events[len(told) :]) == "b"
    assert not any("prompt_progress" in event for event in plain)
    assert whole["choices"][0]["text"] == "b"


def test_waiting_stream_tells_its_place(letters: Path, backends: list[WatchedBackend]) -> None:
    with serving(letters, engine={"max_running": 1}) as served:
        backends[0].hold()
        answers: list[Answer] = []
        body = {"prompt": "a", "max_tokens": 20, **LONG}
        threads = [
            threading.Thread(target=lambda: answers.append(served.post(COMPLETIONS, body)))
            for _ in range(3)
        ]
        threads[0].start()
        backends[0].wait_until_held()
        for thread in threads[1:]:
            thread.start()
        wait_until(lambda: _waiting(served) == 2, "two that wait")
        backends[0].go_on()
        for thread in threads:
            thread.join(20)
    places = [[event["queue"] for event in answer.events if "queue" in event] for answer in answers]
    firsts = sorted(told[0]["place"] for told in places if told)
    assert firsts == [1, 2]


def _waiting(served: Served) -> int:
    lines = served.get("/metrics").body.decode().splitlines()
    found = [line for line in lines if line.startswith("nanoaccel:num_requests_waiting")]
    return int(float(found[0].rpartition(" ")[2]))
