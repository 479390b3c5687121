"""Hundreds of open streams at once: do all end, and is the server heard meanwhile?

    python -m benchmarks.serving.crowd BUNDLE

16 run, the rest wait in the queue, and another server's queue is too short for all. Beside them
``/health`` is asked every 20 ms. Ends with exit code 1 when a stream ends otherwise than whole or
with the 429 that was to be expected.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from benchmarks.harness.figures import table
from benchmarks.harness.machine import machine
from benchmarks.serving.client import Reply, ask
from benchmarks.serving.process import ServerProcess

STREAMS = 256
RUNNING = 16
SHORT_QUEUE = 100
_EVERY = 0.02


def health_times(port: int, done: Event, found: Queue[list[float]]) -> None:
    """Put the seconds that ``/health`` took, asked again and again until all is done."""

    async def watch() -> list[float]:
        times = []
        while not done.is_set():
            reply = await ask(port, "/health", b"", method="GET")
            assert reply.status == 200
            times.append(reply.ended - reply.sent)
            await asyncio.sleep(_EVERY)
        return times

    found.put(asyncio.run(watch()))


@contextmanager
def watched(port: int) -> Iterator[list[float]]:
    """Times of ``/health`` in the block, by a process of its own; filled at the end of it."""
    spawn = multiprocessing.get_context("spawn")
    done, found = spawn.Event(), spawn.Queue()
    process = spawn.Process(target=health_times, args=(port, done, found))
    process.start()
    times: list[float] = []
    try:
        yield times
    finally:
        done.set()
        times += found.get(timeout=60)
        process.join()


async def crowd(port: int, max_tokens: int) -> list[Reply]:
    """All streams, when they have ended."""
    bodies = [
        {
            "messages": [{"role": "user", "content": f"Tell me of the number {number}."}],
            "max_tokens": max_tokens,
            "ignore_eos": True,
            "stream": True,
        }
        for number in range(STREAMS)
    ]
    return await asyncio.gather(*(ask(port, "/v1/chat/completions", body) for body in bodies))


def outcome(reply: Reply) -> str:
    """How a stream ended."""
    if reply.status != 200:
        return str(reply.status)
    reasons = [
        choice["finish_reason"] for event in reply.objects for choice in event.get("choices", ())
    ]
    whole = reply.events[-1] == b"[DONE]" and reasons[-1:] == ["length"]
    return "whole" if whole and reasons.count(None) == len(reasons) - 1 else "broken"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--tokens", type=int, default=32)
    arguments = parser.parse_args()
    rows, failed = [], False
    print(f"{machine()}; {STREAMS} streams, {RUNNING} of them run\n")
    for name, waiting, allowed in (
        ("long enough", 1024, {"whole"}),
        (f"{SHORT_QUEUE}", SHORT_QUEUE, {"whole", "429"}),
    ):
        options = ("--max-running", RUNNING, "--max-waiting", waiting)
        with ServerProcess(arguments.bundle, options) as server, watched(server.port) as health:
            begun = time.perf_counter()
            replies = asyncio.run(crowd(server.port, arguments.tokens))
            seconds = time.perf_counter() - begun
        ends = Counter(map(outcome, replies))
        failed = failed or not set(ends) <= allowed
        shown = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
        median, late, slowest = (1e3 * float(x) for x in np.percentile(health, (50, 99, 100)))
        times = f"{median:.1f} / {late:.1f} / {slowest:.1f}"
        rows.append((name, shown, f"{seconds:.1f}", times))
    print(table(["queue", "streams", "seconds", "/health, ms, p50 / p99 / slowest"], rows))
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
