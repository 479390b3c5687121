"""Random requests on a real bundle: none may be lost, and memory may not grow.

    python -m benchmarks.studies.soak BUNDLE [--requests 500]

Prompts with common beginnings come on a cache that is too small for them, so that requests give
up their blocks to others; some are left by their reader, some are late, some stop at a string,
some drop tokens from the cache. After each step the cache is checked. Ends with exit code 1 when
a check fails or memory grows by more than 3 % after the first fifth.

Before, there is a step of each size: OpenVINO keeps the kernels that it makes for each.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import sys
from collections import Counter
from typing import Any

import psutil

from benchmarks.harness.machine import machine
from nanoaccel import AsyncLLM, CacheEviction, Event, RequestOptions, SamplingParams

MOST_GROWTH = 1.03
AT_ONCE = 24
STEP_TOKENS = 128
PREFIX = 200
CHECKS_PER_SECOND = 20


class Soak:
    """Plays requests and notes how each of them ended.

    Args:
        bundle: What runs them.
        kv_cache_memory: Bytes of the cache.
    """

    def __init__(self, bundle: str, kv_cache_memory: int) -> None:
        self._ends: Counter[int] = Counter()
        self._random = random.Random(1)
        self.llm = AsyncLLM(
            bundle,
            replicas=1,
            kv_cache_memory=kv_cache_memory,
            max_step_tokens=STEP_TOKENS,
            max_running=AT_ONCE,
            max_waiting=AT_ONCE,
            on_event=self._note,
        )
        self.engine = self.llm._llm.client.thread.engine  # the seam: checks run in its thread
        step = self.engine.step

        def checked_step() -> None:
            step()
            self.engine.check_integrity()

        self.engine.step = checked_step
        self._prefixes = [self._ids(PREFIX) for _ in range(4)]

    async def warm_up(self) -> None:
        """Run a step of each number of tokens, and one for each number of rows of logits."""
        once = SamplingParams(max_tokens=1)
        for size in range(1, STEP_TOKENS + 1):
            await self.llm.generate(self._ids(size), once)
        together = SamplingParams(max_tokens=2, ignore_eos=True)
        for size in range(1, AT_ONCE + 1):
            await self.llm.generate([self._ids(2) for _ in range(size)], together)

    async def run(self, requests: int) -> None:
        """Play so many requests, and wait until all have ended."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with gate:
                await self._ask()

        await asyncio.gather(*(one() for _ in range(requests)))
        while self.engine.has_work:
            await asyncio.sleep(1 / CHECKS_PER_SECOND)

    def problems(self) -> list[str]:
        """What is wrong once nothing runs any more."""
        counters = self.llm.counters()
        found = []
        if set(self._ends.values()) - {1} or len(self._ends) != counters.submitted:
            found.append("not every request ended exactly once")
        if counters.finished.get("error", 0) > 0:
            found.append("requests failed")
        if counters.owned_blocks > 0:
            found.append(f"{counters.owned_blocks} cache blocks are lost")
        return found

    async def _ask(self) -> None:
        draw = self._random
        prompt = draw.choice(self._prefixes)[: draw.choice((0, 0, 32, 90, PREFIX))]
        options = RequestOptions(
            priority=draw.choice((0, 0, 1, 2)),
            timeout=draw.choice((None, None, None, None, None, None, None, 1.0)),
            cache_eviction=draw.choice((None, None, CacheEviction(128))),
        )
        params = SamplingParams(
            max_tokens=draw.choice((1, 32, 96, 200)),
            temperature=draw.choice((0.0, 0.8)),
            seed=draw.randrange(1000),
            stop=draw.choice(((), (" the", "\n"))),
            ignore_eos=draw.random() < 0.7,
        )
        left_after = draw.choice((None, None, None, 0, 5))
        async with self.llm.stream(
            [*prompt, *self._ids(draw.randint(1, 60))], params, options
        ) as s:
            count = 0
            async for _ in s:
                count += 1
                if left_after is not None and count > left_after:
                    break

    def _ids(self, count: int) -> list[int]:
        return [self._random.randrange(self.llm.backend.vocab_size) for _ in range(count)]

    def _note(self, event: Event) -> None:
        if event.kind in ("finished", "failed"):
            self._ends[event.request_id] += 1


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    memory: int = psutil.Process().memory_info().rss
    return memory


async def soak(arguments: Any) -> int:
    """Run, report, and give the exit code."""
    runs = Soak(arguments.bundle, arguments.kv_cache_memory)
    warm_up = arguments.requests // 5
    async with runs.llm as llm:
        await runs.warm_up()
        begun = llm.counters()
        await runs.run(warm_up)
        before = resident()
        await runs.run(arguments.requests - warm_up)
        after = resident()
        counters, problems = llm.counters(), runs.problems()
    if after > MOST_GROWTH * before:
        problems.append("memory grew")
    print(f"{machine()}; {arguments.requests} requests, {counters.steps - begun.steps} steps")
    for reason, count in sorted(counters.finished.items()):
        print(f"  {reason}: {count - begun.finished.get(reason, 0)}")
    print(f"preemptions: {counters.preemptions - begun.preemptions}")
    print(f"resident memory: {before >> 20} MiB after the warm-up, {after >> 20} MiB at the end")
    print(f"ratio: {after / before:.4f}")
    for problem in problems:
        print(f"FAILED: {problem}")
    return 1 if problems else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--kv-cache-memory", type=int, default=9 << 20, help="bytes")
    sys.exit(asyncio.run(soak(parser.parse_args())))


if __name__ == "__main__":
    main()
