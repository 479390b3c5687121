"""From a prompt and what is asked of it to requests, all checked before anything is queued."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from nanoaccel.errors import ConfigError, RequestError
from nanoaccel.runtime.backends import BackendInfo
from nanoaccel.runtime.config import RequestOptions
from nanoaccel.runtime.engine.prompts import Prompt, PromptEncoder
from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.sampling import SamplingParams, SamplingSettings
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.text import Tokenizer


@dataclass(frozen=True, slots=True)
class ProcessedInput:
    """A prompt that can run.

    Args:
        prompt_ids: Its tokens.
        numbers: Of its completions, unique and rising with arrival.
        params: How to sample, with nothing left open to the model.
        options: How to treat it.
        max_tokens: To generate at most: what was asked, as far as it fits.
        seed: Of the first completion; each further one has the next.
        eviction: Which tokens it keeps in the cache, in whole blocks; None keeps all.
        deadline: When it is ended, seconds on ``time.perf_counter``; None never.
    """

    prompt_ids: list[int]
    numbers: list[int]
    params: SamplingParams
    options: RequestOptions
    max_tokens: int
    seed: int
    eviction: CacheEviction | None
    deadline: float | None


class InputProcessor:
    """Checks prompts, numbers their completions and makes requests.

    Args:
        tokenizer: The model's.
        info: Of what runs the graph.
        model_length: Tokens that the model can attend to.
        cache_length: Tokens that the cache holds.
        set_length: Tokens that the user allows, at most ``model_length``.
        eviction: Which tokens each request keeps, unless it says otherwise.
        settings: Of the model, for what the parameters leave open.
        context_note: Why the context is shorter than the model's own; empty when it is not.

    Raises:
        ConfigError: The cache eviction does not fit the blocks of the cache.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        info: BackendInfo,
        *,
        model_length: int,
        cache_length: int,
        set_length: int,
        eviction: CacheEviction | None,
        settings: SamplingSettings,
        context_note: str = "",
    ) -> None:
        self._tokenizer = tokenizer
        self._info = info
        self._encoder = PromptEncoder(tokenizer, info.vocab_size)
        self._model_length = model_length
        self._set_length = set_length
        self._context_note = context_note
        self._cache_length = cache_length
        self._settings = settings
        self._eviction = self._in_blocks(eviction)
        self._numbers = count()
        self._lock = threading.Lock()

    @property
    def context_length(self) -> int:
        """Tokens of prompt and text together that a request may have."""
        return self._length_with(self._eviction)

    def prepare(
        self, prompt: Prompt, params: SamplingParams | None, options: RequestOptions | None
    ) -> ProcessedInput:
        """Encode a prompt, and settle what was left open.

        Raises:
            RequestError: The prompt is empty, too long, or not a prompt; or it asks for eviction
                by score and there are no scores.
            ConfigError: The cache eviction does not fit the cache, or one of the two is something
                else.
        """
        params = self._settings.complete(_checked(params, SamplingParams, "params"))
        options = _checked(options, RequestOptions, "options")
        eviction = self._eviction_of(options)
        length = self._length_with(eviction)
        ids = self._encoder.encode(prompt, length, options.chat, self._way_to_more(length))
        room = length - len(ids)
        max_tokens = room if params.max_tokens is None else min(room, params.max_tokens)
        seed = secrets.randbits(63) if params.seed is None else params.seed
        deadline = None if options.timeout is None else time.perf_counter() + options.timeout
        with self._lock:
            numbers = [next(self._numbers) for _ in range(params.n)]
        return ProcessedInput(ids, numbers, params, options, max_tokens, seed, eviction, deadline)

    def request(self, prepared: ProcessedInput, index: int) -> Request:
        """Make the request of a completion.

        Args:
            prepared: By ``prepare``.
            index: Of the completion.

        Raises:
            SamplingError: The parameters name a token that the model has not.
        """
        options = prepared.options
        return Request(
            prepared.numbers[index],
            prepared.prompt_ids,
            prepared.params,
            max_tokens=prepared.max_tokens,
            tokenizer=self._tokenizer,
            vocab_size=self._info.vocab_size,
            seed=prepared.seed + index,
            index=index,
            priority=options.priority,
            deadline=prepared.deadline,
            eviction=prepared.eviction,
            speculation=options.speculation,
        )

    def _eviction_of(self, options: RequestOptions) -> CacheEviction | None:
        if options.cache_eviction is None:
            return self._eviction
        scored = self._eviction is not None and self._eviction.by == "score"
        if options.cache_eviction.by == "score" and not scored:
            raise RequestError(
                "cache_eviction by='score' needs attention scores, which cost time in each step",
                "Open the bundle with a cache_eviction by='score', or evict by='position'",
            )
        return self._in_blocks(options.cache_eviction)

    def _in_blocks(self, eviction: CacheEviction | None) -> CacheEviction | None:
        return None if eviction is None else eviction.in_blocks(self._info.block_size)

    def _length_with(self, eviction: CacheEviction | None) -> int:
        """Tokens that a request may have; one that drops some needs less of the cache."""
        if eviction is not None and eviction.max_tokens <= self._cache_length:
            return self._set_length
        return min(self._set_length, self._cache_length)

    def _way_to_more(self, length: int) -> str:
        """What lets a longer prompt in, where a request may have so many tokens."""
        if length < self._set_length:
            return "Shorten it, or give the cache more memory with kv_cache_memory"
        if length < self._model_length:
            return (
                f"Shorten it, or raise context_length={length}: the model's own is "
                f"{self._model_length}"
            )
        if self._context_note:
            return f"Shorten it: {self._context_note}"
        return f"Shorten it: the model was made for {length} tokens"


Given = TypeVar("Given", SamplingParams, RequestOptions)


def _checked(given: Given | None, kind: type[Given], name: str) -> Given:
    """What a user gave, or the defaults."""
    if given is None:
        return kind()
    if not isinstance(given, kind):
        raise ConfigError(
            f"{name} is of type {type(given).__name__}", f"Give it as {kind.__name__}(...)"
        )
    return given
