"""Connections in limited number, and clients that are not there any more."""

from __future__ import annotations

import socket
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from support.disk_tiers import wait_until
from support.fake_llms import WatchedBackend
from support.raw_clients import open_post, post_bytes, shows
from support.servers import Served, serving

from nanoaccel.errors import ConfigError
from nanoaccel.server.config import Limits, ServerConfig
from nanoaccel.server.connections.sockets import notice_silence

ASKED = {"prompt": "a", "max_tokens": 1}


def idle(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=20)


def test_too_many_connections_are_told(letters: Path) -> None:
    with serving(letters, max_connections=3) as served, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(idle(served))
        answer = served.post("/v1/completions", ASKED)
        assert (answer.status, answer.error["code"]) == (503, "too_many_connections")
        assert "max_connections=3" in answer.error["message"]
        assert (answer.headers["retry-after"], answer.headers["connection"]) == ("1", "close")
        assert served.post("/v1/messages", ASKED).json["error"]["type"] == "overloaded_error"
        assert served.get("/health").status == 200
        stack.close()
        wait_until(lambda: served.post("/v1/completions", ASKED).status == 200, "room")


def test_connections_far_beyond_the_limit_are_closed(letters: Path) -> None:
    with serving(letters, max_connections=2) as served, ExitStack() as stack:
        opened = [stack.enter_context(idle(served)) for _ in range(80)]
        opened[-1].settimeout(5)
        with suppress(ConnectionResetError):
            assert opened[-1].recv(1) == b""
        stack.close()
        wait_until(lambda: served.post("/v1/completions", ASKED).status == 200, "room")


def test_limit_must_be_one_or_more(letters: Path) -> None:
    with pytest.raises(ConfigError, match="max_connections=0"):
        ServerConfig(bundles=(letters,), max_connections=0)


def test_client_that_takes_nothing_is_cancelled(letters: Path) -> None:
    limits = Limits(write_seconds=0.3, backlog=1 << 20)
    with serving(letters, limits=limits, ping=0.05) as served:
        asked = {"prompt": ["a"] * 64, "n": 2, "max_tokens": 60, "ignore_eos": True}
        with open_post(served, {**asked, "logprobs": 20, "stream": True}):
            wait_until(lambda: _ended(served) == 1, "a client that is given up")
        assert served.post("/v1/completions", ASKED).status == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("waits", [False, True])
def test_client_that_only_sends_no_more_is_answered(
    stream: bool, waits: bool, letters: Path, backends: list[WatchedBackend]
) -> None:
    with serving(letters, engine={"max_running": 1}) as served, ExitStack() as stack:
        backends[0].hold()
        if waits:
            stack.enter_context(open_post(served, ASKED))
            backends[0].wait_until_held()
        client = stack.enter_context(open_post(served, {**ASKED, "stream": stream}))
        client.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        backends[0].go_on()
        received = _all_of(client)
    assert b"HTTP/1.1 200" in received
    assert (b"[DONE]" in received) if stream else (b'"text":"b"' in received)


def test_all_requests_of_a_client_that_sends_no_more_are_answered(served: Served) -> None:
    with open_post(served, ASKED) as client:
        for _ in range(2):
            client.sendall(post_bytes(ASKED))
        client.sendall(post_bytes(ASKED)[:-1])  # one will never be whole
        client.shutdown(socket.SHUT_WR)
        assert _all_of(client).count(b'"text":"b"') == 3


def _all_of(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(4096), b""))


def _ended(served: Served) -> int:
    page = served.get("/metrics").body.decode()
    return page.count('path="/v1/completions",status="200"} 1')


@pytest.mark.skipif(sys.platform != "linux", reason="names of Linux")
def test_silence_is_noticed_by_the_system() -> None:
    with socket.socket() as client:
        notice_silence(client, 2.5)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2500
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


def test_queue_is_bounded_in_tokens_too(letters: Path, backends: list[WatchedBackend]) -> None:
    with serving(letters, engine={"max_running": 1, "max_queued_tokens": 20}) as served:
        backends[0].hold()
        asked = {"prompt": "a" * 15, "max_tokens": 9}
        with open_post(served, asked) as first:
            backends[0].wait_until_held()
            with open_post(served, asked):
                wait_until(shows(served, "num_requests_waiting", 1), "a request that waits")
                answer = served.post("/v1/completions", asked)
                assert (answer.status, answer.error["code"]) == (429, "queue_full")
                assert "max_queued_tokens=20" in answer.error["message"]
                assert int(answer.headers["retry-after"]) >= 1
                backends[0].go_on()
                assert first.recv(20).startswith(b"HTTP/1.1 200")
