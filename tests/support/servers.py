"""A real server on a real socket, in a thread of the test, and a client that hides nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.disk_tiers import wait_until

from nanoaccel.server.config import ServerConfig
from nanoaccel.server.run import Running


@dataclass(frozen=True)
class Answer:
    """What a server answered.

    Args:
        status: The status.
        headers: With names in lower case.
        body: All of it.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json["error"]
        return error

    @property
    def events(self) -> list[Any]:
        """The objects of a stream; its end must be there."""
        lines = [line for line in self.body.decode().split("\n\n") if line]
        data = [line.removeprefix("data: ") for line in lines if not line.startswith(":")]
        assert data[-1] == "[DONE]"
        return [json.loads(entry) for entry in data[:-1]]

    @property
    def named_events(self) -> list[Any]:
        """The objects of a stream whose events have the names of their types."""
        events = []
        for frame in self.body.decode().removesuffix("\n\n").split("\n\n"):
            name, _, data = frame.partition("\n")
            events.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {events[-1]['type']}"
        return events


class Served:
    """A server that runs.

    Args:
        running: The server.
        port: Where it listens.
    """

    def __init__(self, running: Running, port: int) -> None:
        self.running = running
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def connect(self, timeout: float = 20) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, None, headers)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        """Post JSON; bytes go as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send("POST", path, raw, {"Content-Type": "application/json", **headers})

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = self.connect()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()


@contextmanager
def serving(*bundles: Path, drain: float = 0, **options: Any) -> Iterator[Served]:
    """A server over bundles, ready; it is stopped at the end of the block."""
    config = ServerConfig(bundles=bundles, port=0, drain=drain, **options)
    listening = threading.Event()
    port = 0

    def note(found: int) -> None:
        nonlocal port
        port = found
        listening.set()

    running = Running(config, note)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(running.run())
        except BaseException as error:
            failures.append(error)
            listening.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert listening.wait(20)
        if failures:
            raise failures[0]
        served = Served(running, port)
        until_ready(served)
        yield served
    finally:
        running.stop()
        thread.join(20)
        assert not thread.is_alive()
    assert not failures


def until_ready(served: Served) -> None:
    wait_until(lambda: served.get("/ready").status == 200, "a server that is ready")
