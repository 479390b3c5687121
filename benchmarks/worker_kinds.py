"""How each engine is loaded and asked; what runs inside a worker's process.

Only the standard library is imported here: llama.cpp's interpreter may have no NanoAccel.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Protocol

Prompts = list[list[int]]
Times = tuple[float, float, int]


class Engine(Protocol):
    """An engine that is loaded."""

    def write(self, prompts: Prompts, generate: int, endless: bool) -> Times:
        """Answer prompts at once, greedily.

        Returns:
            Seconds until each has its first token, seconds until all have ended, and how many
            tokens were generated.
        """


class NanoAccel:
    """Options are arguments of ``LLM``; prompts are not remembered."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        from nanoaccel import LLM

        self._llm = LLM(folder, prefix_cache=False, **options)

    def write(self, prompts: Prompts, generate: int, endless: bool) -> Times:
        from nanoaccel import SamplingParams

        params = SamplingParams(max_tokens=generate, ignore_eos=endless)
        outputs = self._llm.generate(prompts, params)
        first = max(output.stats.first_token or 0.0 for output in outputs)
        total = max(output.stats.total for output in outputs)
        return first, total, sum(len(output.token_ids) for output in outputs)


class OpenVINOGenAI:
    """OpenVINO GenAI's pipeline; the option "lookup" guesses from the prompt."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        import openvino_genai

        lookup = bool(options.get("lookup"))
        more = {"prompt_lookup": True} if lookup else {}
        self._pipeline = openvino_genai.LLMPipeline(folder, "CPU", **more)
        self._config = self._pipeline.get_generation_config()
        self._config.do_sample = False
        self._config.apply_chat_template = False
        if lookup:  # as its own sample and documentation set them
            self._config.num_assistant_tokens = 5
            self._config.max_ngram_size = 3

    def write(self, prompts: Prompts, generate: int, endless: bool) -> Times:
        import numpy as np
        import openvino as ov
        import openvino_genai

        self._config.ignore_eos = endless
        self._config.max_new_tokens = generate
        ids = np.array(prompts, np.int64)
        inputs = openvino_genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids)))
        begin = time.perf_counter()
        result = self._pipeline.generate(inputs, self._config)
        total = time.perf_counter() - begin
        first = result.perf_metrics.get_ttft().mean / 1e3
        return first, total, sum(len(tokens) for tokens in result.tokens)


class OnnxRuntimeGenAI:
    """onnxruntime-genai's generator."""

    def __init__(self, folder: str, _: dict[str, Any]) -> None:
        import onnxruntime_genai

        self._model = onnxruntime_genai.Model(folder)

    def write(self, prompts: Prompts, generate: int, endless: bool) -> Times:
        import numpy as np
        import onnxruntime_genai

        length = len(prompts[0])
        params = onnxruntime_genai.GeneratorParams(self._model)
        params.set_search_options(
            do_sample=False,
            batch_size=len(prompts),
            max_length=length + generate,
            min_length=length + generate if endless else 0,
        )
        generator = onnxruntime_genai.Generator(self._model, params)
        begin = time.perf_counter()
        generator.append_tokens(np.array(prompts, np.int32))
        generator.generate_next_token()
        first, steps = time.perf_counter() - begin, 1
        while steps < generate and not generator.is_done():
            generator.generate_next_token()
            steps += 1
        return first, time.perf_counter() - begin, steps * len(prompts)


class Transformers:
    """transformers on torch; the option "dtype" is that of weights and arithmetic."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        import torch
        from transformers import AutoModelForCausalLM, GenerationConfig

        dtype = getattr(torch, options["dtype"])
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        ends = getattr(self._model, "generation_config", GenerationConfig()).eos_token_id
        self._ends = set(ends if isinstance(ends, list) else [ends])

    def write(self, prompts: Prompts, generate: int, endless: bool) -> Times:
        import torch

        begin = time.perf_counter()
        with torch.inference_mode():
            cache, tokens, steps, first = None, torch.tensor(prompts), 0, 0.0
            while steps < generate:
                out = self._model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache, tokens = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
                steps += 1
                if steps == 1:
                    first = time.perf_counter() - begin
                if not endless and all(int(token) in self._ends for token in tokens):
                    break
        return first, time.perf_counter() - begin, steps * len(prompts)


class LlamaCpp:
    """llama.cpp by its C interface.

    Several prompts get as many sequences in one cache, so that a step is one batch.
    """

    SEQUENCES = 8

    def __init__(self, file: str, _: dict[str, Any]) -> None:
        import llama_cpp

        self._api = api = llama_cpp
        self._silent = api.llama_log_callback(lambda *_: None)  # kept: C holds no reference
        api.llama_log_set(self._silent, None)
        api.llama_backend_init()
        self._model = api.llama_model_load_from_file(
            file.encode(), api.llama_model_default_params()
        )
        if not self._model:
            raise SystemExit(f"llama.cpp cannot open {file}")
        vocabulary = api.llama_model_get_vocab(self._model)
        self._vocabulary = vocabulary
        self._size = api.llama_vocab_n_tokens(vocabulary)
        self._context: Any = None
        self._room = 0

    def _prepare(self, room: int) -> None:
        """An empty cache with room for all sequences together."""
        api = self._api
        if room > self._room:
            if self._context is not None:
                api.llama_free(self._context)
            params = api.llama_context_default_params()
            params.n_ctx = self._room = -(-room // 1024) * 1024
            params.n_seq_max = self.SEQUENCES
            params.kv_unified = True
            params.n_threads = params.n_threads_batch = len(os.sched_getaffinity(0))
            self._context = api.llama_init_from_model(self._model, params)
        api.llama_memory_clear(api.llama_get_memory(self._context), True)

    def _decode(self, pieces: Prompts, start: int) -> list[int]:
        """A pass over pieces of all sequences; gives the likeliest token of each."""
        import numpy as np

        api = self._api
        batch = api.llama_batch_init(sum(map(len, pieces)), 0, 1)
        rows = []
        for sequence, piece in enumerate(pieces):
            for place, token in enumerate(piece):
                n = batch.n_tokens
                batch.token[n], batch.pos[n] = token, start + place
                batch.n_seq_id[n], batch.seq_id[n][0] = 1, sequence
                batch.logits[n] = place == len(piece) - 1
                if batch.logits[n]:
                    rows.append(n)
                batch.n_tokens = n + 1
        code = api.llama_decode(self._context, batch)
        api.llama_batch_free(batch)
        if code != 0:
            raise SystemExit(f"llama.cpp cannot decode: {code}")
        tops = []
        for row in rows:
            logits = api.llama_get_logits_ith(self._context, row)
            tops.append(int(np.ctypeslib.as_array(logits, (self._size,)).argmax()))
        return tops

    def write(self, prompts: Prompts, generate: int, endless: bool) -> Times:
        length = len(prompts[0])
        self._prepare(len(prompts) * (length + generate))
        begin = time.perf_counter()
        size = 2048 // len(prompts)  # its largest batch
        for start in range(0, length, size):
            tokens = self._decode([prompt[start : start + size] for prompt in prompts], start)
        first, steps = time.perf_counter() - begin, 1
        while steps < generate:
            if not endless and all(
                self._api.llama_vocab_is_eog(self._vocabulary, token) for token in tokens
            ):
                break
            tokens = self._decode([[token] for token in tokens], length + steps - 1)
            steps += 1
        return first, time.perf_counter() - begin, steps * len(prompts)


KINDS: dict[str, Callable[[str, dict[str, Any]], Engine]] = {
    "nanoaccel": NanoAccel,
    "genai": OpenVINOGenAI,
    "onnxruntime-genai": OnnxRuntimeGenAI,
    "transformers": Transformers,
    "llama.cpp": LlamaCpp,
}
