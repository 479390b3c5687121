"""Engines that answer with either runtime, in processes of their own."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workers import Worker


class RuntimeWorker(Worker):
    """A process that has loaded one engine.

    Args:
        kind: "nanoaccel" or "onnxruntime-genai".
        folder: What it loads.
        options: Arguments of ``LLM``.
    """

    def __init__(self, kind: str, folder: Path, options: Mapping[str, object]) -> None:
        super().__init__(kind, folder, command=(__file__, json.dumps(options)))

    def write(self, *, prompts: int, tokens: int, generate: int) -> dict[str, float]:
        """Answer some prompts of random tokens at once.

        Returns:
            decode: Tokens a second of all, from the moment when each had its first. prefill:
            Tokens of prompts a second, until each had its first.
        """
        answer: dict[str, float] = self.exchange([prompts, tokens, generate])
        return answer


def _prompts(count: int, tokens: int) -> list[list[int]]:
    chooser = random.Random(count * 10_000 + tokens)
    return [chooser.choices(range(1000, 20000), k=tokens) for _ in range(count)]


def _serve_nanoaccel(folder: str, options: dict[str, Any]) -> None:
    from nanoaccel import LLM, SamplingParams

    llm = LLM(folder, prefix_cache=False, **options)
    for line in sys.stdin:
        count, tokens, generate = json.loads(line)
        params = SamplingParams(max_tokens=generate, ignore_eos=True)
        outputs = llm.generate(_prompts(count, tokens), params)
        first = max(output.stats.first_token or 0.0 for output in outputs)
        total = max(output.stats.total for output in outputs)
        _answer(count * tokens / first, count * (generate - 1) / (total - first))


def _serve_genai(folder: str, _: dict[str, Any]) -> None:
    import numpy as np
    import onnxruntime_genai as genai

    model = genai.Model(folder)
    for line in sys.stdin:
        count, tokens, generate = json.loads(line)
        params = genai.GeneratorParams(model)
        params.set_search_options(
            do_sample=False,
            batch_size=count,
            max_length=tokens + generate,
            min_length=tokens + generate,
        )
        generator = genai.Generator(model, params)
        begin = time.perf_counter()
        generator.append_tokens(np.array(_prompts(count, tokens), np.int32))
        generator.generate_next_token()
        first = time.perf_counter()
        for _ in range(generate - 1):
            generator.generate_next_token()
        end = time.perf_counter()
        _answer(count * tokens / (first - begin), count * (generate - 1) / (end - first))


def _answer(prefill: float, decode: float) -> None:
    print(json.dumps({"prefill": prefill, "decode": decode}), flush=True)


if __name__ == "__main__":
    serve = {"nanoaccel": _serve_nanoaccel, "onnxruntime-genai": _serve_genai}
    serve[sys.argv[1]](sys.argv[2], json.loads(sys.argv[3]))
