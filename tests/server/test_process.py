"""``nanoaccel serve`` as a process: how it starts, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.disk_tiers import wait_until
from support.fake_llms import write_bundle
from support.replicas import LETTERS_BACKEND, SECONDS, write_plugin

ROOT = Path(__file__).parents[2]
LONG = {"prompt": "a", "max_tokens": 40, "ignore_eos": True, "stream": True}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


class Process:
    """A server in a process of its own.

    Args:
        process: The process.
        port: Where it listens.
        log: The file of its log.
        connections: Gets those that are opened.
    """

    def __init__(
        self,
        process: subprocess.Popen[str],
        port: int,
        log: Path,
        connections: list[http.client.HTTPConnection],
    ) -> None:
        self.process = process
        self.port = port
        self.log = log
        self._connections = connections

    def connect(self) -> http.client.HTTPConnection:
        self._connections.append(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20))
        return self._connections[-1]

    def status(self, path: str) -> int:
        connection = self.connect()
        connection.request("GET", path)
        status = connection.getresponse().status
        connection.close()
        return status

    def ask(self, body: dict[str, Any]) -> http.client.HTTPResponse:
        connection = self.connect()
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps(body), headers)
        return connection.getresponse()


def command(bundle: Path, *options: object) -> list[str]:
    arguments = [bundle, "--port", 0, "--backend", LETTERS_BACKEND, *options]
    return [sys.executable, "-m", "nanoaccel", "serve", *map(str, arguments)]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    plugin = write_plugin(tmp_path / "plugin")
    paths = os.pathsep.join(map(str, (plugin, ROOT / "tests", ROOT)))
    return {**os.environ, "PYTHONPATH": paths, "LOG": str(tmp_path / "log"), SECONDS: "0.02"}


@contextmanager
def running(bundle: Path, environment: dict[str, str], *options: object) -> Iterator[Process]:
    log = Path(environment["LOG"])
    connections: list[http.client.HTTPConnection] = []
    with log.open("w") as errors:
        process = subprocess.Popen(
            command(bundle, *options),
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rstrip().removesuffix("/v1").rpartition(":")[2])
        served = Process(process, port, log, connections)
        wait_until(lambda: served.status("/ready") == 200, "a server that is ready")
        yield served
    finally:
        process.kill()
        process.communicate()
        for connection in connections:
            connection.close()


def test_sigterm_lets_requests_end(tmp_path: Path, environment: dict[str, str]) -> None:
    with running(write_bundle(tmp_path / "letters"), environment) as served:
        answer = served.ask(LONG)
        answer.readline()
        served.process.send_signal(signal.SIGTERM)
        wait_until(lambda: served.status("/ready") == 503, "a server that is not ready")
        assert served.status("/health") == 200
        refused = served.ask(LONG)
        assert (refused.status, refused.getheader("retry-after")) == (503, "5")
        rest = answer.read()
        assert rest.endswith(b"data: [DONE]\n\n")
        assert b'"finish_reason":"length"' in rest
        assert served.process.wait(20) == 0
        for line in served.log.read_text().splitlines():
            assert json.loads(line)["level"] in ("info", "warning")


def test_sigterm_ends_requests_at_the_deadline(tmp_path: Path, environment: dict[str, str]) -> None:
    environment[SECONDS] = "0.3"
    with running(write_bundle(tmp_path / "letters"), environment, "--drain", 0.3) as served:
        answer = served.ask(LONG)
        answer.readline()
        begun = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        rest = answer.read().split(b"\n\n")
        assert json.loads(rest[-3].strip().removeprefix(b"data: "))["error"]["code"] == "stopping"
        assert rest[-2:] == [b"data: [DONE]", b""]
        assert served.process.wait(20) == 0
        assert time.monotonic() - begun < 5


@pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs of Linux"
)
def test_sigterm_ends_engines_that_hang(tmp_path: Path, environment: dict[str, str]) -> None:
    environment[SECONDS] = "0.3"
    options = ("--drain", 0.3, "--replicas", 2)
    with running(write_bundle(tmp_path / "letters"), environment, *options) as served:
        answer = served.ask(LONG)
        answer.readline()
        for pid in engines_of(served.process.pid):
            os.kill(pid, signal.SIGSTOP)
        begun = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert b'"code":"stopping"' in answer.read()
        assert served.process.wait(20) == 0
        assert time.monotonic() - begun < 12


def engines_of(pid: int) -> list[int]:
    """The processes that a server has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def test_second_ctrl_c_does_not_wait(tmp_path: Path, environment: dict[str, str]) -> None:
    environment[SECONDS] = "0.3"
    with running(write_bundle(tmp_path / "letters"), environment) as served:
        answer = served.ask(LONG)
        answer.readline()
        served.process.send_signal(signal.SIGINT)
        wait_until(lambda: served.status("/ready") == 503, "a server that is not ready")
        served.process.send_signal(signal.SIGINT)
        assert b'"code":"stopping"' in answer.read()
        assert served.process.wait(20) == 130


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--port", 99999), 2, "port=99999"),
        (("--memory", "much"), 2, "--memory 'much' is not a size"),
        (("--api-key-file", "nowhere"), 2, "--api-key-file nowhere cannot be read"),
        (("--kv-cache-memory", "1B"), 2, "holds no cache block"),
        (("--host", "192.0.2.1"), 2, "cannot listen at 192.0.2.1"),
    ],
)
def test_serve_that_cannot_start_says_why(
    options: tuple[object, ...],
    code: int,
    message: str,
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    bundle = write_bundle(tmp_path / "letters")
    done = subprocess.run(
        command(bundle, *options), env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert message in done.stderr.splitlines()[-1]


def test_serve_reads_keys_from_a_file(tmp_path: Path, environment: dict[str, str]) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# ours\nabc\n\ndef  # theirs\n")
    bundle = write_bundle(tmp_path / "letters")
    with running(bundle, environment, "--api-key-file", keys) as served:
        assert served.status("/v1/models") == 401
        connection = served.connect()
        connection.request("GET", "/v1/models", headers={"Authorization": "Bearer def"})
        assert connection.getresponse().status == 200
        connection.close()
    empty = tmp_path / "empty"
    empty.write_text("# none\n")
    done = subprocess.run(
        command(bundle, "--api-key-file", empty), env=environment, capture_output=True, check=False
    )
    assert (done.returncode, b"holds no key" in done.stderr) == (2, True)
