"""What the faces share: an opened bundle with its engine, and requests made from prompts."""

from __future__ import annotations

import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import cast

from nanoaccel.bundle import Bundle
from nanoaccel.errors import RequestError
from nanoaccel.folders import cache_folder
from nanoaccel.runtime.config import EngineConfig, RequestOptions
from nanoaccel.runtime.events import EventListener
from nanoaccel.runtime.graphs import GraphLoader
from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.loading import hidden_layers, start_engine
from nanoaccel.runtime.output import Chunk
from nanoaccel.runtime.prompts import Prompt, PromptEncoder, is_single
from nanoaccel.runtime.request import Request
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.text import Tokenizer
from nanoaccel.runtime.tuning.setting import Setting, apply, tuned_backend
from nanoaccel.runtime.tuning.stored import find_tuning


class Submission:
    """The requests of one prompt, one for each completion.

    Args:
        prompt_ids: The prompt.
        requests: Its completions.
        session: Runs them; it stays open as long as anybody holds this.
    """

    def __init__(self, prompt_ids: list[int], requests: list[Request], session: Session) -> None:
        self.prompt_ids = prompt_ids
        self._requests = requests
        self._session = session

    @property
    def count(self) -> int:
        """Completions; as many chunks with a finish reason will come."""
        return len(self._requests)

    def submit(self, sink: Callable[[Chunk], None], *, even_if_full: bool) -> None:
        """Queue them, together.

        Args:
            sink: Is given their chunks, in the engine's thread.
            even_if_full: Whether they may make the queue longer than it should be.

        Raises:
            QueueFullError: The queue has no room for all of them.
            ClosedError: The session is closed.
        """
        self._session.loop.submit(self._requests, sink, even_if_full=even_if_full)

    def cancel(self) -> None:
        """End those that have not ended; may be called from anywhere, at any time."""
        self._session.loop.cancel(self._requests)


class Session:
    """An engine that runs, and the way from a prompt to its requests.

    The engine's thread ends with the last reference to this, or with the interpreter.

    Args:
        bundle: A bundle's folder, or a plain folder that optimum-intel exported.
        backend: Name of a backend, or "auto" for the one that the bundle was made for.
        config: Everything else.
        on_event: Is told what happens to requests, in the engine's thread.

    Raises:
        BundleError: The folder is not a bundle, or is damaged.
        MissingExtraError: The backend is not installed.
        ConfigError: An option is wrong.
        PromptCacheError: The folder of the prompt cache cannot be used.
    """

    def __init__(
        self,
        bundle: str | Path,
        *,
        backend: str,
        config: EngineConfig,
        on_event: EventListener | None,
    ) -> None:
        opened = Bundle.open(Path(bundle))
        self.tokenizer = Tokenizer.load(opened.tokenizer_folder)
        setting = _tuned(opened, backend, config)
        graph_config = apply(config, setting, os.environ)
        loader = GraphLoader(
            bundle=opened, config=graph_config, hidden_layers=hidden_layers(opened, config)
        )
        loaded = loader.graphs(tuned_backend(backend, config, setting))
        # Threads and precision were tuned for the target; a draft has its own.
        config = replace(
            config,
            max_step_tokens=graph_config.max_step_tokens,
            quantization_group=graph_config.quantization_group,
        )
        self.info = loaded.graphs[0].backend.info
        try:
            self._eviction = self._in_blocks(config.cache_eviction)
            self.loop = start_engine(loaded, config, bundle=opened, on_event=on_event)
        except BaseException:
            loaded.close()
            raise
        weakref.finalize(self, self.loop.close)
        self._model_length = opened.context_length
        fewest = min(graph.shape.num_blocks for graph in loaded.graphs)
        self._cache_length = fewest * self.info.block_size
        self._encoder = PromptEncoder(self.tokenizer, self.info.vocab_size)
        self._ids = count()
        self._ids_lock = threading.Lock()

    @property
    def context_length(self) -> int:
        """Tokens of prompt and text together that a request may have."""
        return self._length_with(self._eviction)

    def prepare(
        self, prompt: Prompt, params: SamplingParams | None, options: RequestOptions | None
    ) -> Submission:
        """Make the requests of a prompt; they are not queued yet.

        Args:
            prompt: What to continue.
            params: How to sample; None is ``SamplingParams()``.
            options: How to treat it; None is ``RequestOptions()``.

        Raises:
            RequestError: The prompt is empty, too long, or not a prompt; or it asks for eviction
                by score and the session gives no scores.
            SamplingError: The parameters name a token that the model has not.
            ConfigError: The cache eviction does not fit the cache.
        """
        params = SamplingParams() if params is None else params
        options = RequestOptions() if options is None else options
        eviction = self._eviction_of(options)
        length = self._length_with(eviction)
        ids = self._encoder.encode(prompt, length)
        room = length - len(ids)
        max_tokens = room if params.max_tokens is None else min(room, params.max_tokens)
        seed = secrets.randbits(63) if params.seed is None else params.seed
        deadline = None if options.timeout is None else time.perf_counter() + options.timeout
        with self._ids_lock:
            numbers = [next(self._ids) for _ in range(params.n)]
        requests = [
            Request(
                number,
                ids,
                params,
                max_tokens=max_tokens,
                tokenizer=self.tokenizer,
                vocab_size=self.info.vocab_size,
                seed=seed + index,
                index=index,
                priority=options.priority,
                deadline=deadline,
                eviction=eviction,
                speculation=options.speculation,
            )
            for index, number in enumerate(numbers)
        ]
        return Submission(ids, requests, self)

    def prepare_all(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: SamplingParams | None,
        options: RequestOptions | None,
    ) -> list[Submission]:
        """Make the requests of one prompt, or of a list of them.

        Raises:
            NanoAccelError: As ``prepare``.
        """
        single = is_single(prompts)
        listed = [cast(Prompt, prompts)] if single else list(cast(Sequence[Prompt], prompts))
        return [self.prepare(prompt, params, options) for prompt in listed]

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
        return None if eviction is None else eviction.in_blocks(self.info.block_size)

    def _length_with(self, eviction: CacheEviction | None) -> int:
        """Tokens that a request may have; one that drops some needs less of the cache."""
        if eviction is not None and eviction.max_tokens <= self._cache_length:
            return self._model_length
        return min(self._model_length, self._cache_length)


def _tuned(bundle: Bundle, backend: str, config: EngineConfig) -> Setting:
    """What was tuned for a bundle here, where it is for the backend that the user wants."""
    tuning = find_tuning(bundle, cache_folder()) if config.tuned else None
    if tuning is None:
        return Setting()
    fits = backend in ("auto", tuning.setting.runtime) or bundle.runtimes == (backend,)
    return tuning.setting if fits else Setting()
