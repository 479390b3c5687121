"""From a prompt to its requests, all checked before anything is queued."""

from __future__ import annotations

import secrets
import threading
import time
from itertools import count
from typing import TypeVar

from nanoaccel.errors import ConfigError, RequestError
from nanoaccel.runtime.adapters.registry import AdapterRegistry
from nanoaccel.runtime.backends import BackendInfo
from nanoaccel.runtime.engine.prompts import Prompt, PromptEncoder
from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.sampling import GrammarCompiler, SamplingParams, SamplingSettings
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.types.pooling import Pooling
from nanoaccel.text import Tokenizer

_NO_TEXT = SamplingParams(max_tokens=0)


class InputProcessor:
    """Checks prompts, numbers their completions and makes requests.

    Args:
        tokenizer: The model's.
        info: Facts about what runs the graph.
        model_length: Tokens that the model can attend to.
        cache_length: Tokens that the cache holds.
        set_length: Tokens that the user allows, at most ``model_length``.
        eviction: Tokens that each request keeps, unless it says otherwise.
        settings: The model's sampling settings, for what the parameters leave open.
        adapters: Those that requests may name.
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
        adapters: AdapterRegistry,
        context_note: str = "",
    ) -> None:
        self._tokenizer = tokenizer
        self._info = info
        self._grammars = GrammarCompiler(tokenizer)
        self._encoder = PromptEncoder(tokenizer, info.vocab_size)
        self._model_length = model_length
        self._set_length = set_length
        self._context_note = context_note
        self._cache_length = cache_length
        self._settings = settings
        self._adapters = adapters
        self._eviction = self._in_blocks(eviction)
        self._numbers = count()
        self._lock = threading.Lock()

    @property
    def context_length(self) -> int:
        """Tokens of prompt and text together that a request may have."""
        return self._length_with(self._eviction)

    def process(
        self,
        prompt: Prompt,
        params: SamplingParams | Pooling | None,
        options: RequestOptions | None,
    ) -> list[Request]:
        """Make the requests of a prompt, one for each completion; each has the seed after the last.

        Args:
            prompt: What to continue.
            params: How to sample, or how the prompt becomes an embedding; None is
                ``SamplingParams()``.
            options: How to treat it; None is ``RequestOptions()``.

        Raises:
            RequestError: The prompt is empty, too long, or not a prompt; or it asks for what there
                is not: scores to evict by, states for an embedding, or the adapter.
            SamplingError: The parameters name a token that the model does not have, or a grammar
                that cannot be used with its tokens.
            MissingExtraError: A grammar needs llguidance, which is not installed.
            ConfigError: The cache eviction does not fit the cache, or ``params`` or ``options`` is
                of another type.
        """
        pooling = None
        if isinstance(params, Pooling):
            pooling, params = params, _NO_TEXT
            self._check_pooling(pooling)
        params = self._settings.complete(_checked(params, SamplingParams, "params"))
        options = _checked(options, RequestOptions, "options")
        eviction = self._eviction_of(options)
        adapter = None if options.adapter is None else self._adapters.find(options.adapter)
        length = self._length_with(eviction)
        least, more = int(params.max_tokens != 0), self._way_to_more(length)
        ids = self._encoder.encode(prompt, length, options.chat, more, room=least)
        grammar = None if params.grammar is None else self._grammars.compile(params.grammar)
        room = length - len(ids)
        deadline = None if options.timeout is None else time.perf_counter() + options.timeout
        first_seed = secrets.randbits(63) if params.seed is None else params.seed
        requests: list[Request] = []
        for seed, number in enumerate(self._new_numbers(params.n), first_seed):
            request = Request(
                number,
                ids,
                params,
                max_tokens=room if params.max_tokens is None else min(room, params.max_tokens),
                tokenizer=self._tokenizer,
                vocab_size=self._info.vocab_size,
                seed=seed,
                index=seed - first_seed,
                options=options,
                deadline=deadline,
                eviction=eviction,
                sampler=requests[0].sampler.fork(seed) if requests else None,
                grammar=grammar,
                pooling=pooling,
                long_factors=self._info.long_factors,
                adapter=adapter,
            )
            requests.append(request)
        return requests

    def _new_numbers(self, count: int) -> list[int]:
        with self._lock:
            return [next(self._numbers) for _ in range(count)]

    def _check_pooling(self, pooling: Pooling) -> None:
        """Raises RequestError unless the graph can make such an embedding."""
        size = self._info.state_size
        if size == 0:
            raise RequestError(
                f"this bundle's {self._info.name} graph does not tell the states that an embedding "
                "is made of",
                "Export the model again, with this version",
            )
        if pooling.dimensions is not None and pooling.dimensions > size:
            raise RequestError(
                f"dimensions={pooling.dimensions} is more than an embedding of this model has",
                f"It has {size}",
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
