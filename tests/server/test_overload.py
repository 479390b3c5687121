"""Clients that go away, read slowly, or are too many."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from support.disk_tiers import wait_until
from support.fake_llms import WatchedBackend
from support.raw_clients import metric, open_post, shows
from support.servers import Served, serving

from nanoaccel.runtime.engine.client import InProcessClient
from nanoaccel.server.config import Limits

GONE = 'http_requests_total{path="/v1/completions",status="0"}'
ENDLESS = {"prompt": "a", "max_tokens": 60, "ignore_eos": True}


def cancelled(served: Served) -> float:
    return metric(served, 'request_success_total{model_name="letters",finished_reason="cancelled"}')


@pytest.mark.parametrize("stream", [False, True])
def test_client_that_goes_away_is_cancelled(
    stream: bool, served: Served, backend: WatchedBackend
) -> None:
    backend.hold()
    with open_post(served, {**ENDLESS, "stream": stream, "n": 2}):
        backend.wait_until_held()
    backend.go_on()
    wait_until(lambda: cancelled(served) == 2, "cancelled requests")
    assert metric(served, "num_requests_running") == 0
    assert metric(served, "generation_tokens_total") < 60


def test_client_that_goes_away_while_it_waits_is_cancelled(
    letters: Path, backends: list[WatchedBackend]
) -> None:
    with serving(letters, engine={"max_running": 1}) as served:
        backends[0].hold()
        with open_post(served, ENDLESS):
            backends[0].wait_until_held()
            with open_post(served, ENDLESS):
                wait_until(shows(served, "requests_total", 2), "a request that waits")
            wait_until(shows(served, GONE, 1), "a client that is gone")
            backends[0].go_on()
            wait_until(lambda: cancelled(served) == 1, "a cancelled request")


def test_full_queue_is_told_to_try_again(
    letters: Path, backends: list[WatchedBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(letters, engine={"max_running": 1, "max_waiting": 1}) as served:
        backends[0].hold()
        with open_post(served, ENDLESS) as first:
            backends[0].wait_until_held()
            with open_post(served, ENDLESS):
                wait_until(shows(served, "num_requests_waiting", 1), "a request that waits")
                # An engine in another process may take seconds to say how it does.
                monkeypatch.setattr(InProcessClient, "counters", lambda _: pytest.fail("asked"))
                for path, body in (
                    ("/v1/completions", {**ENDLESS, "stream": True}),
                    ("/v1/completions", {**ENDLESS, "prompt": ["a", "b"]}),
                    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}),
                ):
                    answer = served.post(path, body)
                    assert (answer.status, answer.error["type"]) == (429, "rate_limit_error")
                    assert 1 <= int(answer.headers["retry-after"]) <= 60
                assert served.get("/health").status == 200
                backends[0].go_on()
                assert first.recv(20).startswith(b"HTTP/1.1 200")


def test_reader_that_is_too_slow_is_cancelled(letters: Path) -> None:
    with serving(letters, limits=Limits(backlog=8)) as served:
        asked = {"prompt": ["a"] * 64, "n": 2, "max_tokens": 60, "ignore_eos": True, "logprobs": 20}
        with open_post(served, {**asked, "stream": True}) as connection:
            wait_until(lambda: cancelled(served) > 0, "cancelled requests")
            received = b""
            with suppress(ConnectionResetError):
                while part := connection.recv(1 << 16):
                    received += part
            assert b"[DONE]" not in received
        wait_until(shows(served, "num_requests_running", 0), "the end")
        assert served.post("/v1/completions", {"prompt": "a"}).status == 200


def test_whole_answer_has_no_reader_that_could_be_slow(letters: Path) -> None:
    """Chunks wait for the event loop, which other work may keep; no client is to blame."""
    asked = {"prompt": ["a"] * 16, "max_tokens": 40, "ignore_eos": True}
    with serving(letters, limits=Limits(backlog=0)) as served:
        assert served.post("/v1/completions", asked).status == 200


def test_silent_stream_is_pinged(letters: Path, backends: list[WatchedBackend]) -> None:
    with serving(letters, ping=0.05) as served:
        backends[0].hold()
        with open_post(served, {**ENDLESS, "max_tokens": 1, "stream": True}) as connection:
            received = b""
            while received.count(b": ping\n\n") < 3:
                received += connection.recv(4096)
            backends[0].go_on()
            while b"[DONE]" not in received:
                received += connection.recv(4096)


@pytest.mark.parametrize("stream", [False, True])
def test_completion_that_fails_is_told(
    stream: bool,
    served: Served,
    backend: WatchedBackend,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: object) -> None:
        raise ValueError("broken /secret/path")

    served.post("/v1/completions", {"prompt": "a", "max_tokens": 1})
    monkeypatch.setattr(backend, "forward", fail)
    answer = served.post("/v1/completions", {"prompt": "a", "stream": stream})
    if stream:
        assert answer.status == 200
        error = answer.events[-1]["error"]
    else:
        assert answer.status == 500
        error = answer.error
    assert error["type"] == "server_error"
    assert "secret" not in answer.body.decode()
    assert "secret" in caplog.text


def test_engine_that_stops_is_loaded_anew(
    served: Served, backends: list[WatchedBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: object) -> None:
        raise SystemExit

    ask = {"prompt": "a", "max_tokens": 1}
    assert served.post("/v1/completions", ask).status == 200
    monkeypatch.setattr(backends[0], "forward", die)
    assert served.post("/v1/completions", ask).status == 500
    assert served.post("/v1/completions", ask).status == 503
    assert served.post("/v1/completions", ask).json["choices"][0]["text"] == "b"
    assert len(backends) == 2


def test_many_at_once_get_their_own_texts(served: Served) -> None:
    def ask(place: int) -> bool:
        answer = served.post("/v1/completions", {"prompt": [place % 20], "max_tokens": 5})
        expected = "".join(chr(ord("a") + place % 20 + step) for step in range(1, 6))
        return bool(answer.json["choices"][0]["text"] == expected)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(200)))


def test_health_answers_while_the_engine_works(served: Served, backend: WatchedBackend) -> None:
    backend.hold()
    with open_post(served, ENDLESS):
        backend.wait_until_held()
        begun = time.perf_counter()
        assert served.get("/health").status == 200
        assert time.perf_counter() - begun < 1
        backend.go_on()
