"""OpenVINO GenAI: its pipeline for prompts asked at once, its continuous batching for loads."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np
import openvino as ov
import openvino_genai

from benchmarks.harness.adapters import Prompts, Times
from benchmarks.harness.loads import Load, Recorder, Request


class OpenVINOGenAI:
    """The pipeline; the option "lookup" turns on its prompt lookup."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        lookup = bool(options.get("lookup"))
        more = {"prompt_lookup": True} if lookup else {}
        self._pipeline = openvino_genai.LLMPipeline(folder, "CPU", **more)
        self._config = _greedy(self._pipeline.get_generation_config())
        if lookup:  # as its own sample and documentation set them
            self._config.num_assistant_tokens = 5
            self._config.max_ngram_size = 3

    def generate(self, prompts: Prompts, max_tokens: int, ignore_eos: bool) -> Times:
        self._config.ignore_eos = ignore_eos
        self._config.max_new_tokens = max_tokens
        ids = np.array(prompts, np.int64)
        inputs = openvino_genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids)))
        begin = time.perf_counter()
        result = self._pipeline.generate(inputs, self._config)
        total = time.perf_counter() - begin
        first = result.perf_metrics.get_ttft().mean / 1e3
        return first, total, sum(len(tokens) for tokens in result.tokens)

    def close(self) -> None:
        del self._pipeline


class OpenVINOGenAIServing:
    """Continuous batching, driven step by step; options are fields of ``SchedulerConfig``."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        scheduler = openvino_genai.SchedulerConfig()
        for name, value in options.items():
            setattr(scheduler, name, value)
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(folder, scheduler, "CPU")
        self._config = _greedy(openvino_genai.GenerationConfig())
        self._config.ignore_eos = True
        self._live: dict[int, Any] = {}

    def play(self, load: dict[str, Any]) -> list[tuple[float, list[float]]]:
        asked = Load.from_json(load)
        coming = deque(enumerate(asked.requests))
        left = sum(not request.background for request in asked.requests)
        recorder = Recorder(asked)
        while left > 0:
            while coming and self._is_due(coming[0][1], asked, recorder):
                self._add(*coming.popleft(), recorder)
            if self._live:
                self._pipeline.step()
            else:
                time.sleep(max(0.0, coming[0][1].at - recorder.now()))
            for number in self._collect(recorder):
                left -= not asked.requests[number].background
        self._cancel()
        return recorder.traces()

    def close(self) -> None:
        del self._pipeline

    def _is_due(self, request: Request, load: Load, recorder: Recorder) -> bool:
        has_slot = load.slots is None or len(self._live) < load.slots
        return has_slot and request.at <= recorder.now()

    def _add(self, number: int, request: Request, recorder: Recorder) -> None:
        recorder.note_start(number)
        self._config.max_new_tokens = request.max_tokens
        prompt = ov.Tensor(np.array([request.prompt], np.int64))
        self._live[number] = self._pipeline.add_request(number, prompt, self._config)

    def _collect(self, recorder: Recorder) -> list[int]:
        """Note the tokens of the last step; gives the requests that have ended."""
        for number, handle in self._live.items():
            while handle.can_read():
                for output in handle.read().values():
                    recorder.note_tokens(number, len(output.generated_ids))
        running = openvino_genai.GenerationStatus.RUNNING
        ended = [n for n, handle in self._live.items() if handle.get_status() != running]
        for number in ended:
            del self._live[number]
        return ended

    def _cancel(self) -> None:
        for handle in self._live.values():
            handle.cancel()
        self._live.clear()
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()


def _greedy(config: Any) -> Any:
    config.do_sample = False
    config.apply_chat_template = False
    return config
