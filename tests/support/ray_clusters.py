"""Ray clusters of several nodes on one machine; each can be killed with all of its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_STORE = 80_000_000  # bytes of an object store; the least that Ray takes is 75 MB
# A machine that is busy with other tests is slow, and not dead.
_HEALTH = (
    '{"health_check_period_ms": 1000, "health_check_failure_threshold": 3, '
    '"health_check_timeout_ms": 10000}'
)
_PATIENCE = {"RAY_raylet_start_wait_time_s": "80"}
_MARK = "NANOACCEL_TEST_NODE"


def wait_long(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Wait for other processes; fails when it takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(0.1)


class Node:
    """A node that starts, and all of its processes.

    Args:
        folder: For its log.
        environment: Of its processes.
        arguments: For ``ray start``.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], *arguments: str) -> None:
        self._name = str(time.monotonic_ns())
        self._log = folder / f"ray-{self._name}.log"
        ray = Path(sys.executable).with_name("ray")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(ray), "start", "--block", "--object-store-memory", str(_STORE),
                    "--disable-usage-stats", *arguments,
                ],
                env={**environment, **_PATIENCE, _MARK: self._name}, stdout=log, stderr=log,
            )  # fmt: skip

    @property
    def has_started(self) -> bool:
        """Whether it is part of the cluster."""
        log = self._log.read_text(errors="replace")
        assert self._process.poll() is None, log
        return "Ray runtime started" in log

    def processes(self) -> dict[int, str]:
        """Its command lines, by process."""
        found = {}
        mark = f"{_MARK}={self._name}\0".encode()
        for entry in Path("/proc").iterdir():
            with suppress(OSError):  # it has ended
                if entry.name.isdecimal() and mark in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        return found

    def runs(self, words: str) -> bool:
        """Whether a process of it has these words in its command line."""
        return any(words in line for line in self.processes().values())

    def kill(self) -> None:
        """End it as a power cut does."""
        while found := self.processes():
            for process in found:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self._process.poll()
            time.sleep(0.01)
        self._process.wait()


class Cluster:
    """A head without CPUs, and nodes of one each.

    Args:
        folder: For logs.
        environment: Of all processes.

    Attributes:
        address: As ``ray.init`` takes it.
        nodes: Those that were not killed.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        port = 20000 + os.getpid() % 10000
        self.address = f"127.0.0.1:{port}"
        self.nodes: list[Node] = []
        self._head = Node(
            folder, environment, "--head", "--port", str(port), "--num-cpus", "0",
            "--include-dashboard", "false", "--system-config", _HEALTH,
        )  # fmt: skip

    def add(self, count: int) -> None:
        """Start nodes, one after the other: those of one machine come in each other's way."""
        wait_long(lambda: self._head.has_started, "the head of a cluster")
        for _ in range(count):
            node = Node(
                self._folder, self._environment, "--address", self.address, "--num-cpus", "1"
            )
            self.nodes.append(node)
            wait_long(lambda: self.nodes[-1].has_started, "a node of a cluster")

    def kill(self, node: Node) -> None:
        """Kill a node."""
        self.nodes.remove(node)
        node.kill()

    def close(self) -> None:
        """Kill all."""
        for node in (*self.nodes, self._head):
            node.kill()


@contextmanager
def ray_cluster(folder: Path, environment: Mapping[str, str], nodes: int) -> Iterator[Cluster]:
    """A cluster of so many nodes beside the head; all is killed at the end of the block."""
    cluster = Cluster(folder, environment)
    try:
        cluster.add(nodes)
        yield cluster
    finally:
        cluster.close()
