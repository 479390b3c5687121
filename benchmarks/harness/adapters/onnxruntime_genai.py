"""onnxruntime-genai: its generator."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnxruntime_genai

from benchmarks.harness.adapters import Prompts, Times


class OnnxRuntimeGenAI:
    """It has no options."""

    def __init__(self, folder: str, _: dict[str, Any]) -> None:
        self._model = onnxruntime_genai.Model(folder)

    def generate(self, prompts: Prompts, max_tokens: int, ignore_eos: bool) -> Times:
        length = len(prompts[0])
        params = onnxruntime_genai.GeneratorParams(self._model)
        params.set_search_options(
            do_sample=False,
            batch_size=len(prompts),
            max_length=length + max_tokens,
            min_length=length + max_tokens if ignore_eos else 0,
        )
        generator = onnxruntime_genai.Generator(self._model, params)
        begin = time.perf_counter()
        generator.append_tokens(np.array(prompts, np.int32))
        generator.generate_next_token()
        first, steps = time.perf_counter() - begin, 1
        while steps < max_tokens and not generator.is_done():
            generator.generate_next_token()
            steps += 1
        return first, time.perf_counter() - begin, steps * len(prompts)

    def close(self) -> None:
        del self._model
