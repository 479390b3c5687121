"""llama.cpp by its C interface."""

from __future__ import annotations

import os
import time
from typing import Any

import llama_cpp
import numpy as np

from benchmarks.harness.adapters import Prompts, Times


class LlamaCpp:
    """Opens a GGUF file; it has no options.

    Several prompts get as many sequences in one cache, so that a step is one batch.
    """

    SEQUENCES = 8

    def __init__(self, file: str, _: dict[str, Any]) -> None:
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
        self._capacity = 0

    def _prepare(self, capacity: int) -> None:
        """An empty cache for all sequences together."""
        api = self._api
        if capacity > self._capacity:
            if self._context is not None:
                api.llama_free(self._context)
            params = api.llama_context_default_params()
            params.n_ctx = self._capacity = -(-capacity // 1024) * 1024
            params.n_seq_max = self.SEQUENCES
            params.kv_unified = True
            params.n_threads = params.n_threads_batch = len(os.sched_getaffinity(0))
            self._context = api.llama_init_from_model(self._model, params)
        api.llama_memory_clear(api.llama_get_memory(self._context), True)

    def _decode(self, pieces: Prompts, start: int) -> list[int]:
        """A pass over pieces of all sequences; gives the likeliest token of each."""
        api = self._api
        batch = api.llama_batch_init(sum(map(len, pieces)), 0, 1)
        rows = []
        for sequence, piece in enumerate(pieces):
            for offset, token in enumerate(piece):
                n = batch.n_tokens
                batch.token[n], batch.pos[n] = token, start + offset
                batch.n_seq_id[n], batch.seq_id[n][0] = 1, sequence
                batch.logits[n] = offset == len(piece) - 1
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

    def generate(self, prompts: Prompts, max_tokens: int, ignore_eos: bool) -> Times:
        length = len(prompts[0])
        self._prepare(len(prompts) * (length + max_tokens))
        begin = time.perf_counter()
        size = 2048 // len(prompts)  # its largest batch
        for start in range(0, length, size):
            tokens = self._decode([prompt[start : start + size] for prompt in prompts], start)
        first, steps = time.perf_counter() - begin, 1
        while steps < max_tokens:
            if not ignore_eos and all(
                self._api.llama_vocab_is_eog(self._vocabulary, token) for token in tokens
            ):
                break
            tokens = self._decode([[token] for token in tokens], length + steps - 1)
            steps += 1
        return first, time.perf_counter() - begin, steps * len(prompts)

    def close(self) -> None:
        if self._context is not None:
            self._api.llama_free(self._context)
        self._api.llama_model_free(self._model)
