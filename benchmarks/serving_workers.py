"""Engines that play whole loads, in processes of their own."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from figures import Trace
from loads import Ask, Load
from workers import Worker

GENAI_OPTIONS = {"cache_size": 2, "enable_prefix_caching": False}


class ServingWorker(Worker):
    """A process that has loaded one engine and plays loads on it.

    Args:
        kind: "nanoaccel" or "genai".
        folder: What it loads.
        options: Arguments of ``AsyncLLM``, or fields of GenAI's ``SchedulerConfig``.
    """

    def __init__(self, kind: str, folder: Path, options: Mapping[str, object]) -> None:
        super().__init__(kind, folder, options, script=__file__)

    def play(self, load: Load) -> list[Trace]:
        """Run a load to its end; one trace for each request, in the same order."""
        return [Trace(due, tokens) for due, tokens in self.exchange(load.to_json())]


class Recorder:
    """The traces of a load that is running."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._begin = time.perf_counter()
        self._due = [ask.at for ask in load.asks]
        self._tokens: list[list[float]] = [[] for _ in load.asks]

    def now(self) -> float:
        """Seconds since the load began."""
        return time.perf_counter() - self._begin

    def note_start(self, number: int) -> None:
        """A request has its slot; where slots are limited, its time counts from here."""
        if self._load.slots is not None:
            self._due[number] = self.now()

    def note_tokens(self, number: int, count: int) -> None:
        """Tokens of a request have come."""
        self._tokens[number].extend([self.now()] * count)

    def answer(self) -> None:
        """Send the traces to who asked for the load."""
        for ask, tokens in zip(self._load.asks, self._tokens, strict=True):
            if len(tokens) != ask.generate and not ask.background:
                raise SystemExit(f"a request gave {len(tokens)} tokens instead of {ask.generate}")
        print(json.dumps(list(zip(self._due, self._tokens, strict=True))), flush=True)


class GenaiPlayer:
    """OpenVINO GenAI's continuous batching, driven step by step."""

    def __init__(self, folder: str, options: Mapping[str, object]) -> None:
        import openvino_genai

        scheduler = openvino_genai.SchedulerConfig()
        for name, value in options.items():
            setattr(scheduler, name, value)
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(folder, scheduler, "CPU")
        self._config = openvino_genai.GenerationConfig()
        self._config.ignore_eos = True
        self._config.do_sample = False
        self._config.apply_chat_template = False
        self._running = openvino_genai.GenerationStatus.RUNNING
        self._live: dict[int, Any] = {}

    def play(self, load: Load) -> Recorder:
        coming = deque(enumerate(load.asks))
        left = sum(not ask.background for ask in load.asks)
        recorder = Recorder(load)
        while left > 0:
            while coming and self._is_due(coming[0][1], load, recorder):
                self._add(*coming.popleft(), recorder)
            if self._live:
                self._pipeline.step()
            else:
                time.sleep(max(0.0, coming[0][1].at - recorder.now()))
            for number in self._collect(recorder):
                left -= not load.asks[number].background
        self._cancel()
        return recorder

    def _is_due(self, ask: Ask, load: Load, recorder: Recorder) -> bool:
        has_slot = load.slots is None or len(self._live) < load.slots
        return has_slot and ask.at <= recorder.now()

    def _add(self, number: int, ask: Ask, recorder: Recorder) -> None:
        import numpy as np
        import openvino as ov

        recorder.note_start(number)
        self._config.max_new_tokens = ask.generate
        prompt = ov.Tensor(np.array([ask.prompt], np.int64))
        self._live[number] = self._pipeline.add_request(number, prompt, self._config)

    def _collect(self, recorder: Recorder) -> list[int]:
        """Note the tokens of the last step; gives those requests that have ended."""
        for number, handle in self._live.items():
            while handle.can_read():
                for output in handle.read().values():
                    recorder.note_tokens(number, len(output.generated_ids))
        ended = [n for n, handle in self._live.items() if handle.get_status() != self._running]
        for number in ended:
            del self._live[number]
        return ended

    def _cancel(self) -> None:
        for handle in self._live.values():
            handle.cancel()
        self._live.clear()
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()


async def play_nanoaccel(llm: Any, load: Load) -> Recorder:
    """Play a load on an ``AsyncLLM``, with a task for each request."""
    from nanoaccel import SamplingParams

    gate = asyncio.Semaphore(len(load.asks) if load.slots is None else load.slots)
    recorder = Recorder(load)

    async def serve(number: int, ask: Ask) -> None:
        await asyncio.sleep(max(0.0, ask.at - recorder.now()))
        async with gate:
            recorder.note_start(number)
            params = SamplingParams(max_tokens=ask.generate, ignore_eos=True)
            async with llm.stream(ask.prompt, params) as stream:
                async for chunk in stream:
                    recorder.note_tokens(number, len(chunk.token_ids))

    tasks = [asyncio.create_task(serve(number, ask)) for number, ask in enumerate(load.asks)]
    await asyncio.gather(*(tasks[n] for n, ask in enumerate(load.asks) if not ask.background))
    behind = [tasks[n] for n, ask in enumerate(load.asks) if ask.background]
    for task in behind:
        task.cancel()
    await asyncio.gather(*behind, return_exceptions=True)
    return recorder


async def _serve_nanoaccel(folder: str, options: dict[str, Any]) -> None:
    from nanoaccel import AsyncLLM

    async with AsyncLLM(folder, **options) as llm:
        while line := await asyncio.to_thread(sys.stdin.readline):
            (await play_nanoaccel(llm, Load.from_json(json.loads(line)))).answer()


def _serve_genai(folder: str, options: dict[str, Any]) -> None:
    player = GenaiPlayer(folder, options)
    for line in sys.stdin:
        player.play(Load.from_json(json.loads(line))).answer()


def main() -> None:
    kind, folder, options = sys.argv[1:]
    if kind == "nanoaccel":
        asyncio.run(_serve_nanoaccel(folder, json.loads(options)))
    else:
        _serve_genai(folder, json.loads(options))


if __name__ == "__main__":
    main()
