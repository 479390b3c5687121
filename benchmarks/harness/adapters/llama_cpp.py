"""llama.cpp by its C interface."""

from __future__ import annotations

import os
import time
from typing import Any

import llama_cpp
import numpy as np

from benchmarks.harness.adapters import Prompts, Times

_LARGEST_BATCH = 2048  # tokens


class LlamaCpp:
    """Opens a GGUF file; the option "threads" is all that it may use otherwise.

    Several prompts get as many sequences in one cache, so that a step is one batch.
    """

    SEQUENCES = 16

    def __init__(self, file: str, options: dict[str, Any]) -> None:
        self._threads = options.get("threads", len(os.sched_getaffinity(0)))
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
        self.vocabulary_size = api.llama_vocab_n_tokens(vocabulary)
        self._context: Any = None
        self._capacity = 0

    def prepare(self, capacity: int) -> None:
        """An empty cache of so many tokens for all sequences together."""
        api = self._api
        if capacity > self._capacity:
            if self._context is not None:
                api.llama_free(self._context)
            params = api.llama_context_default_params()
            params.n_ctx = self._capacity = -(-capacity // 1024) * 1024
            params.n_seq_max = self.SEQUENCES
            params.kv_unified = True
            params.n_threads = params.n_threads_batch = self._threads
            self._context = api.llama_init_from_model(self._model, params)
        api.llama_memory_clear(api.llama_get_memory(self._context), True)

    def fill(self, sequences: int, tokens: int) -> None:
        """So many tokens of each sequence, in place of what is cached."""
        self._api.llama_memory_clear(self._api.llama_get_memory(self._context), True)
        size = _LARGEST_BATCH // sequences
        for start in range(0, tokens, size):
            piece = range(start, min(tokens, start + size))
            self.decode([[n % self.vocabulary_size for n in piece]] * sequences, start)

    def cut(self, tokens: int) -> None:
        """Forget all but the first tokens of each sequence."""
        self._api.llama_memory_seq_rm(self._api.llama_get_memory(self._context), -1, tokens, -1)

    def decode(self, pieces: Prompts, start: int, *, every: bool = False) -> list[int]:
        """A pass over pieces of all sequences.

        Args:
            pieces: Token ids, by sequence.
            start: Tokens of each that are cached.
            every: Whether all tokens have logits, and not only the last of each piece.

        Returns:
            Numbers of the tokens that have.
        """
        api = self._api
        batch = api.llama_batch_init(sum(map(len, pieces)), 0, 1)
        rows = []
        for sequence, piece in enumerate(pieces):
            for offset, token in enumerate(piece):
                n = batch.n_tokens
                batch.token[n], batch.pos[n] = token, start + offset
                batch.n_seq_id[n], batch.seq_id[n][0] = 1, sequence
                batch.logits[n] = every or offset == len(piece) - 1
                if batch.logits[n]:
                    rows.append(n)
                batch.n_tokens = n + 1
        code = api.llama_decode(self._context, batch)
        api.llama_batch_free(batch)
        if code != 0:
            raise SystemExit(f"llama.cpp cannot decode: {code}")
        api.llama_synchronize(self._context)
        return rows

    def _likeliest(self, rows: list[int]) -> list[int]:
        """The likeliest tokens behind those of the last pass."""
        tops = []
        for row in rows:
            logits = self._api.llama_get_logits_ith(self._context, row)
            tops.append(int(np.ctypeslib.as_array(logits, (self.vocabulary_size,)).argmax()))
        return tops

    def generate(self, prompts: Prompts, max_tokens: int, ignore_eos: bool) -> Times:
        length = len(prompts[0])
        self.prepare(len(prompts) * (length + max_tokens))
        begin = time.perf_counter()
        size = _LARGEST_BATCH // len(prompts)
        for start in range(0, length, size):
            rows = self.decode([prompt[start : start + size] for prompt in prompts], start)
        tokens = self._likeliest(rows)
        first, steps = time.perf_counter() - begin, 1
        while steps < max_tokens:
            if not ignore_eos and all(
                self._api.llama_vocab_is_eog(self._vocabulary, token) for token in tokens
            ):
                break
            rows = self.decode([[token] for token in tokens], length + steps - 1)
            tokens = self._likeliest(rows)
            steps += 1
        return first, time.perf_counter() - begin, steps * len(prompts)

    def close(self) -> None:
        if self._context is not None:
            self._api.llama_free(self._context)
        self._api.llama_model_free(self._model)
