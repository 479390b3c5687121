"""NanoAccel: prompts asked at once, and loads served."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.harness.adapters import Prompts, Times
from benchmarks.harness.loads import Load, Recorder, Request
from nanoaccel import LLM, AsyncLLM, SamplingParams


class NanoAccel:
    """Options are arguments of ``LLM``; greedy, and prompts are not kept in the cache."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        self._llm = LLM(folder, prefix_cache=False, **options)

    def generate(self, prompts: Prompts, max_tokens: int, ignore_eos: bool) -> Times:
        params = SamplingParams(max_tokens=max_tokens, ignore_eos=ignore_eos, temperature=0.0)
        outputs = self._llm.generate(prompts, params)
        first = max(output.stats.first_token or 0.0 for output in outputs)
        total = max(output.stats.total for output in outputs)
        return first, total, sum(len(output.token_ids) for output in outputs)

    def close(self) -> None:
        self._llm.close()


class NanoAccelServing:
    """Options are arguments of ``AsyncLLM``; greedy."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._llm = AsyncLLM(folder, **options)
        self._loop.run_until_complete(self._llm.__aenter__())

    def play(self, load: dict[str, Any]) -> list[tuple[float, list[float]]]:
        return self._loop.run_until_complete(play(self._llm, Load.from_json(load))).traces()

    def close(self) -> None:
        self._loop.run_until_complete(self._llm.__aexit__(None, None, None))
        self._loop.close()


async def play(llm: AsyncLLM, load: Load) -> Recorder:
    """Run a load to its end, with a task for each request."""
    gate = asyncio.Semaphore(len(load.requests) if load.slots is None else load.slots)
    recorder = Recorder(load)

    async def serve(number: int, request: Request) -> None:
        await asyncio.sleep(max(0.0, request.at - recorder.now()))
        async with gate:
            recorder.note_start(number)
            params = SamplingParams(max_tokens=request.max_tokens, ignore_eos=True, temperature=0.0)
            async with llm.stream(request.prompt, params) as stream:
                async for chunk in stream:
                    recorder.note_tokens(number, len(chunk.token_ids))

    tasks = [asyncio.create_task(serve(n, request)) for n, request in enumerate(load.requests)]
    pairs = list(zip(tasks, load.requests, strict=True))
    await asyncio.gather(*(task for task, request in pairs if not request.background))
    background = [task for task, request in pairs if request.background]
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    return recorder
