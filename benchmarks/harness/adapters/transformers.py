"""transformers on torch."""

from __future__ import annotations

import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from benchmarks.harness.adapters import Prompts, Times


class Transformers:
    """The option "dtype" is that of weights and arithmetic."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        dtype = getattr(torch, options["dtype"])
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        ends = getattr(self._model, "generation_config", GenerationConfig()).eos_token_id
        self._ends = set(ends if isinstance(ends, list) else [ends])

    def generate(self, prompts: Prompts, max_tokens: int, ignore_eos: bool) -> Times:
        begin = time.perf_counter()
        with torch.inference_mode():
            cache, tokens, steps, first = None, torch.tensor(prompts), 0, 0.0
            while steps < max_tokens:
                out = self._model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache, tokens = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
                steps += 1
                if steps == 1:
                    first = time.perf_counter() - begin
                if not ignore_eos and all(int(token) in self._ends for token in tokens):
                    break
        return first, time.perf_counter() - begin, steps * len(prompts)

    def close(self) -> None:
        del self._model
