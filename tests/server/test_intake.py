"""Long texts do not hold up short ones, and those that cannot fit are not encoded."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.servers import Served

from nanoaccel.server.generation.intake import read_in_thread, text_size
from nanoaccel.text import Tokenizer

LONG = 1 << 17
CHAT = [{"role": "user", "content": "a" * 200}]


def test_short_texts_do_not_wait_for_long_ones() -> None:
    async def run() -> None:
        go_on = threading.Event()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        long = [asyncio.create_task(read_in_thread(LONG, go_on.wait)) for _ in range(2)]
        try:
            short = read_in_thread(1, str.upper, "short")
            assert await asyncio.wait_for(short, 10) == "SHORT"
        finally:
            go_on.set()
            assert await asyncio.gather(*long) == [True, True]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("", 0),
        ("abc", 3),
        (["abc", [1, 2], None], 5),
        ([[{"role": "user", "content": [{"text": "abc", "n": 1}]}], ()], 7),
        ([[1, 2, 3]], 3),
    ],
)
def test_size_is_that_of_all_texts(value: object, size: int) -> None:
    assert text_size(value) == size


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What lets long texts be encoded, which wait for it."""
    go_on, encode = threading.Event(), Tokenizer.encode

    def hold(self: Tokenizer, text: str, *options: Any, **named: Any) -> list[int]:
        if len(text) >= LONG:
            go_on.wait(20)
            return [0]
        return encode(self, text, *options, **named)

    monkeypatch.setattr(Tokenizer, "encode", hold)
    yield go_on
    go_on.set()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {"prompt": "a" * LONG}),
        ("/tokenize", {"messages": [{"role": "user", "content": "a" * LONG}]}),
        ("/v1/completions", {"prompt": "a" * LONG, "max_tokens": 1}),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "a" * LONG}], "max_tokens": 1},
        ),
    ],
)
def test_every_endpoint_takes_short_texts_beside_long_ones(
    path: str, body: dict[str, Any], served: Served, held: threading.Event
) -> None:
    many = min(32, (os.cpu_count() or 1) + 4) + 1  # asyncio's own pool has a thread less
    with ThreadPoolExecutor(many) as clients:
        long = [clients.submit(served.post, path, body) for _ in range(many)]
        try:
            assert served.post("/v1/completions", {"prompt": "a", "max_tokens": 1}).status == 200
            assert not any(answer.done() for answer in long)
        finally:
            held.set()
        assert {answer.result().status for answer in long} == {200}


def test_text_that_cannot_fit_is_not_encoded(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tokenizer, "fewest_tokens", lambda _, text: len(text) // 2)
    counted = served.post("/v1/messages/count_tokens", {"model": "letters", "messages": CHAT})
    assert counted.json["input_tokens"] == 201
    assert served.post("/tokenize", {"prompt": "a" * 200}).json["count"] == 200
    monkeypatch.setattr(Tokenizer, "encode", lambda *_, **__: pytest.fail("it was encoded"))
    told = {
        "/v1/completions": {"prompt": "a" * 200, "max_tokens": 4},
        "/v1/chat/completions": {"messages": CHAT, "max_tokens": 4},
        "/v1/responses": {"input": CHAT, "max_output_tokens": 4},
        "/v1/messages": {"messages": CHAT, "max_tokens": 4, "model": "letters"},
    }
    for path, body in told.items():
        answer = served.post(path, body)
        assert answer.status == 400
        message = answer.error["message"]
        assert "the prompt has at least 100 tokens and max_tokens is 4: at least 40" in message
