"""``nanoaccel serve`` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import psutil

_PATIENCE = 300.0


class ServerProcess:
    """A server over a bundle, ready; it is stopped at the end of the block.

    Args:
        bundle: What it serves.
        options: More arguments of ``nanoaccel serve``.
        log: File for its log.

    Attributes:
        port: Where it listens.

    Raises:
        SystemExit: It ends before it is ready.
    """

    def __init__(self, bundle: Path, options: Sequence[object] = (), log: Path | None = None):
        given = map(str, (bundle, "--port", 0, *options))
        command = [sys.executable, "-m", "nanoaccel", "serve", *given]
        self._log = None if log is None else log.open("w")
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if self._log is None else self._log,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"the server did not start: {' '.join(command)}")
        self.port = int(line.removesuffix("/v1").rpartition(":")[2])
        self._wait_until_ready()

    def get(self, path: str) -> str:
        """The body at a path; "" when the answer is not 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as found:
                text: str = found.read().decode()
                return text
        except OSError:
            return ""

    def metric(self, name: str) -> float:
        """A metric, summed over its labels."""
        full = f"nanoaccel:{name}"
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith(full)]
        values = [line.rpartition(" ")[2] for line in lines if line[len(full)] in "{ "]
        return sum(map(float, values))

    def memory(self) -> int:
        """Bytes that the process and its children hold alone, and their share of what is shared."""
        total = 0
        for process in (self._parent(), *self.children()):
            try:
                total += process.memory_full_info().pss
            except psutil.Error:  # it ended meanwhile
                continue
        return total

    def children(self) -> list[psutil.Process]:
        """The processes of its replicas."""
        found: list[psutil.Process] = self._parent().children(recursive=True)
        return found

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        if self._log is not None:
            self._log.close()

    def _parent(self) -> psutil.Process:
        return psutil.Process(self._process.pid)

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + _PATIENCE
        while not self.get("/ready"):
            if self._process.poll() is not None or time.monotonic() > end:
                self._process.kill()
                raise SystemExit("the server is not ready; give it --log to see why")
            time.sleep(0.05)


def model_id(server: ServerProcess) -> str:
    """The name of what it serves."""
    found: str = json.loads(server.get("/v1/models"))["data"][0]["id"]
    return found
