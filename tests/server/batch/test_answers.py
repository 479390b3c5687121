"""What comes of requests: the server's own answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.batch_files import request_of
from support.disk_tiers import wait_until
from support.fake_llms import WatchedBackend
from support.servers import serving

from nanoaccel.batch.lines import Reply, Request
from nanoaccel.batch.local import run_here
from nanoaccel.errors import NanoAccelError
from nanoaccel.server.config import Limits, ServerConfig
from nanoaccel.server.connections.in_process import InProcessServer


def run(
    bundle: Path,
    lines: list[dict[str, Any]],
    *,
    at_once: int = 8,
    deliver: Callable[[Reply], None] = lambda _: None,
    limits: Limits | None = None,
    **engine: object,
) -> dict[str, Any]:
    """Answers by custom_id."""
    config = ServerConfig(
        bundles=(bundle,), engine=engine, limits=Limits() if limits is None else limits
    )
    found: dict[str, Any] = {}

    def take(reply: Reply) -> None:
        deliver(reply)
        answer = json.loads(reply.line)
        assert answer["custom_id"] not in found
        found[answer["custom_id"]] = answer

    requests = [Request.parse(n, json.dumps(line).encode()) for n, line in enumerate(lines, 1)]
    run_here(requests, config, take, at_once=at_once)
    assert len(found) == len(lines)
    return found


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """An answer without what differs from one to the next."""
    return {name: value for name, value in body.items() if name not in ("id", "created", "timings")}


BODIES = [
    ("/v1/completions", {"prompt": "a", "max_tokens": 5}),
    ("/v1/completions", {"prompt": ["a", "k"], "n": 2, "logprobs": 1, "max_tokens": 3}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "max_tokens": 2}),
    ("/v1/completions", {"prompt": "a", "temperature": -1}),
    ("/v1/completions", {"prompt": "a" * 100}),
    ("/v1/chat/completions", {"messages": "none"}),
    ("/v1/completions", {"prompt": "a", "model": "another"}),
]


def test_answers_are_those_of_the_server(letters: Path) -> None:
    lines = [request_of(str(n), url, **body) for n, (url, body) in enumerate(BODIES)]
    answers = run(letters, lines)
    with serving(letters) as served:
        for name, (url, body) in enumerate(BODIES):
            told = served.post(url, body)
            response = answers[str(name)]["response"]
            assert response["status_code"] == told.status
            assert plain(response["body"]) == plain(told.json)
            assert response["request_id"]
            assert answers[str(name)]["error"] is None


def test_full_queue_lets_requests_wait(letters: Path, backends: list[WatchedBackend]) -> None:
    lines = [request_of(str(n), prompt="a", n=1 + n % 3, max_tokens=3) for n in range(60)]
    answers = run(letters, lines, at_once=16, max_running=2, max_waiting=3)
    for n in range(60):
        response = answers[str(n)]["response"]
        assert response["status_code"] == 200, response
        assert [one["text"] for one in response["body"]["choices"]] == ["bcd"] * (1 + n % 3)
    assert len(backends) == 1


def test_request_that_never_fits_the_queue_is_told_so(letters: Path) -> None:
    lines = [request_of(str(n), prompt="a", n=9 if n == 3 else 1, max_tokens=3) for n in range(9)]
    answers = run(letters, lines, max_running=2, max_waiting=4)
    statuses = [answers[str(n)]["response"]["status_code"] for n in range(9)]
    assert statuses == [200, 200, 200, 429, 200, 200, 200, 200, 200]


def test_so_many_run_at_once_and_no_more(letters: Path, backends: list[WatchedBackend]) -> None:
    read = 0
    most = 0
    done = 0

    def count(_: Reply) -> None:
        nonlocal done
        done += 1

    def lines() -> Any:
        nonlocal read, most
        for n in range(40):
            read += 1
            most = max(most, read - done)
            yield Request.parse(n + 1, json.dumps(request_of(str(n))).encode())

    run_here(lines(), ServerConfig(bundles=(letters,)), count, at_once=5)
    assert (read, done, most) == (40, 40, 5)
    assert len(backends) == 1


def test_bundle_that_cannot_be_opened_fails_the_batch(letters: Path) -> None:
    with pytest.raises(NanoAccelError, match="holds no cache block"):
        run(letters, [request_of("a")], kv_cache_memory=1)


def test_answers_that_cannot_be_kept_end_the_batch(
    letters: Path, backends: list[WatchedBackend]
) -> None:
    def full(_: Reply) -> None:
        raise NanoAccelError("the disk is full")

    with pytest.raises(NanoAccelError, match="the disk is full"):
        run(letters, [request_of(str(n)) for n in range(20)], deliver=full)
    assert backends[0].closings == 1


def test_engine_that_stops_is_loaded_anew(letters: Path, backends: list[WatchedBackend]) -> None:
    def break_once(_: Reply) -> None:
        if len(backends) == 1:
            backends[0].forward = _broken  # type: ignore[method-assign]

    answers = run(letters, [request_of(str(n)) for n in range(30)], at_once=2, deliver=break_once)
    good = [one for one in answers.values() if one["response"]["status_code"] == 200]
    assert len(good) >= 26  # those that ran with the engine may have failed with it


def _broken(*_: object) -> Any:
    raise SystemExit


def test_caller_that_goes_away_cancels(letters: Path, backends: list[WatchedBackend]) -> None:
    async def leave() -> None:
        server = InProcessServer(ServerConfig(bundles=(letters,)))
        await server.open()
        backends[0].seconds = 0.05
        body = {"prompt": "a", "max_tokens": 50, "ignore_eos": True, "stream": True}
        scope = {
            "method": "POST", "path": "/v1/completions",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        }  # fmt: skip
        messages = server.exchange(scope, json.dumps(body).encode())
        assert (await anext(messages))["status"] == 200
        await anext(messages)
        await messages.aclose()
        counters = server.service.models.entries[0].model.client.counters  # type: ignore[union-attr]
        await asyncio.to_thread(wait_until, lambda: counters().running == 0, "a cancelled request")
        assert counters().finished["cancelled"] == 1
        await server.close()

    asyncio.run(leave())


def test_reader_that_is_slow_holds_the_answer_back(letters: Path) -> None:
    async def read() -> bytes:
        server = InProcessServer(ServerConfig(bundles=(letters,)))
        await server.open()
        body = {"prompt": "a", "max_tokens": 50, "ignore_eos": True, "stream": True}
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {"method": "POST", "path": "/v1/completions", "headers": headers}
        text = b""
        async for message in server.exchange(scope, json.dumps(body).encode()):
            await asyncio.sleep(0.005)
            text += message.get("body", b"")
        await server.close()
        return text

    text = asyncio.run(read())
    assert b'"finish_reason":"length"' in text
    assert text.endswith(b"data: [DONE]\n\n")
