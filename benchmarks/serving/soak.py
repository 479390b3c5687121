"""Thousands of requests of all kinds on a real server: none may be lost, and memory may not grow.

    python -m benchmarks.serving.soak BUNDLE [--requests 10000] [--kill-every 60]

Whole answers and streams, several completions, grammars, echoes; clients that leave in the queue,
in the prompt or in the answer, read slowly, stop in their headers or bodies; bad requests. With
``--replicas 2 --kill-every N``, a replica is killed every N seconds; what ran on it may end with an
error. Ends with exit code 1 when an answer is wrong, a request is lost, a good one fails while no
replica was killed, or memory grows by more than 3 % after the first fifth.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.harness.machine import machine
from benchmarks.serving.process import ServerProcess
from benchmarks.serving.requests import AnswerError, Player

MOST_GROWTH = 1.03
_PATIENCE = 120.0


class Soak:
    """Plays requests and notes how they end.

    Args:
        server: What is asked.
        requests: How many.
        at_once: How many are open at once.
        rate: Requests that begin in a second at most.
        kill_every: Seconds between two kills of a replica; None kills none.
    """

    def __init__(
        self,
        server: ServerProcess,
        requests: int,
        at_once: int,
        rate: float,
        kill_every: float | None,
    ) -> None:
        self._server = server
        self._left = requests
        self._at_once = at_once
        self._pause = at_once / rate
        self._kill_every = kill_every
        self.ends: Counter[str] = Counter()
        self.problems: list[str] = []
        self.kills = 0
        self.memory: list[int] = []

    async def run(self) -> None:
        """Play all; then nothing may run any more."""
        beside = [asyncio.create_task(self._watch_memory())]
        if self._kill_every is not None:
            beside.append(asyncio.create_task(self._kill(self._kill_every)))
        await asyncio.gather(*(self._play(seed) for seed in range(self._at_once)))
        for task in beside:
            task.cancel()
        await self._until_quiet()

    async def _play(self, seed: int) -> None:
        player, draw = Player(self._server.port, seed), random.Random(-seed)
        while self._left > 0:
            self._left -= 1
            begun = time.monotonic()
            try:
                self.ends[await asyncio.wait_for(player.play(), _PATIENCE)] += 1
            except (AnswerError, OSError, asyncio.TimeoutError) as error:
                self.problems.append(f"{type(error).__name__}: {error}")
            spare = self._pause * 2 * draw.random() - (time.monotonic() - begun)
            await asyncio.sleep(max(0.0, spare))

    async def _watch_memory(self) -> None:
        while True:
            self.memory.append(await asyncio.to_thread(self._server.memory))
            await asyncio.sleep(2)

    async def _kill(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            replicas = self._server.children()
            if replicas:
                with suppress(psutil.Error):
                    random.choice(replicas).kill()
                    self.kills += 1

    async def _until_quiet(self) -> None:
        end = time.monotonic() + _PATIENCE
        names = ("num_requests_running", "num_requests_waiting")
        while sum(map(self._server.metric, names)) > 0 and time.monotonic() < end:
            await asyncio.sleep(0.2)
        if time.monotonic() >= end:
            self.problems.append("requests still run")
        begun, ended = map(self._server.metric, ("requests_total", "request_success_total"))
        if begun != ended and self.kills == 0:
            self.problems.append(f"{begun:.0f} completions were queued and {ended:.0f} ended")

    def growth(self) -> float:
        """Memory of the last fifth over that of the second."""
        fifth = max(1, len(self.memory) // 5)
        early, late = self.memory[fifth : 2 * fifth], self.memory[-fifth:]
        return statistics.median(late) / statistics.median(early)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=24)
    parser.add_argument("--rate", type=float, default=10.0, help="requests a second at most")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--kill-every", type=float, help="seconds between two kills of a replica")
    parser.add_argument("--log", type=Path, help="file for the server's log")
    given = parser.parse_args()
    options = ("--replicas", given.replicas, "--max-waiting", 16, "--kv-cache-memory", "64MB")
    begun = time.monotonic()
    with ServerProcess(given.bundle, options, given.log) as server:
        soak = Soak(server, given.requests, given.at_once, given.rate, given.kill_every)
        asyncio.run(soak.run())
    growth, problems = soak.growth(), soak.problems
    failed = [end for end in soak.ends if end.endswith((": error", ": 500"))]
    if failed and soak.kills == 0:
        problems.append("good requests failed")
    if growth > MOST_GROWTH:
        problems.append("memory grew")
    minutes = (time.monotonic() - begun) / 60
    print(f"{machine()}; {given.requests} requests in {minutes:.1f} min, {soak.kills} kills")
    for end, count in sorted(soak.ends.items()):
        print(f"  {end}: {count}")
    print(f"memory: {soak.memory[-1] >> 20} MiB at the end; last fifth / second: {growth:.4f}")
    for problem, count in Counter(problems).most_common(20):
        print(f"FAILED: {problem} ({count})")
    sys.exit(int(bool(problems)))


if __name__ == "__main__":
    main()
