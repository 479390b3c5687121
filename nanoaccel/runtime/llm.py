"""The face of the runtime for Python programs: open a bundle, generate, stream."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast, overload

from nanoaccel.runtime.backends import BackendInfo, CachePrecision, Precision
from nanoaccel.runtime.batch import Batch
from nanoaccel.runtime.config import (
    DEFAULT_PROMPT_CACHE_SIZE,
    DEFAULT_RUNNING,
    DEFAULT_WAITING,
    EngineConfig,
    RequestOptions,
)
from nanoaccel.runtime.counters import Counters
from nanoaccel.runtime.events import EventListener
from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.opening import open_serving
from nanoaccel.runtime.output import RequestOutput
from nanoaccel.runtime.prompts import Prompt, is_single
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.serving import Serving, prepare_all
from nanoaccel.runtime.streams import SIGNAL_SECONDS, Stream


class LLM:
    """A model, ready to write.

    A prompt is a string (continued as it is), a list of token ids, or a list of messages
    (``{"role": ..., "content": ...}``, put through the model's chat template). Any number of
    threads may call it; their requests run together, in a thread of the LLM's own.

    Args:
        bundle: A bundle's folder, or a plain folder that optimum-intel exported.
        backend: Name of a backend, or "auto" for the one that the bundle was made for.
        replicas: Engines, each in a process of its own with its part of the cores; requests go to
            the one that has the least to do for them. "auto" is one for each NUMA node, as far as
            memory allows it: in this process where there is one node. One where ``threads`` says
            how much of the machine to use.
        on_event: Called with an ``Event`` when a request starts, has a token, finishes or fails;
            in the engine's thread, so it must be quick and must not wait for a request. What it
            raises is logged and counted, and changes nothing else.
        threads, precision, cache_precision, kv_cache_memory, max_step_tokens, max_running,
        max_waiting, time_per_token, prefix_cache, eviction_policy, prompt_cache,
        prompt_cache_size, cache_eviction, speculation, draft, corpus_tokens, tuned: As in
        ``EngineConfig``.

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
        backend: str = "auto",
        replicas: int | Literal["auto"] = "auto",
        on_event: EventListener | None = None,
        threads: int | None = None,
        precision: Precision = "auto",
        cache_precision: CachePrecision = "auto",
        kv_cache_memory: int | None = None,
        max_step_tokens: int | None = None,
        max_running: int = DEFAULT_RUNNING,
        max_waiting: int = DEFAULT_WAITING,
        time_per_token: float | None = None,
        prefix_cache: bool = True,
        eviction_policy: str = "lru",
        prompt_cache: str | Path | None = None,
        prompt_cache_size: int = DEFAULT_PROMPT_CACHE_SIZE,
        cache_eviction: CacheEviction | None = None,
        speculation: str = "auto",
        draft: str | Path | None = None,
        corpus_tokens: int = 0,
        tuned: bool = True,
    ) -> None:
        config = EngineConfig(
            threads=threads,
            precision=precision,
            cache_precision=cache_precision,
            kv_cache_memory=kv_cache_memory,
            max_step_tokens=max_step_tokens,
            max_running=max_running,
            max_waiting=max_waiting,
            time_per_token=time_per_token,
            prefix_cache=prefix_cache,
            eviction_policy=eviction_policy,
            prompt_cache=None if prompt_cache is None else Path(prompt_cache),
            prompt_cache_size=prompt_cache_size,
            cache_eviction=cache_eviction,
            speculation=speculation,
            draft=None if draft is None else Path(draft),
            corpus_tokens=corpus_tokens,
            tuned=tuned,
        )
        self.session: Serving = open_serving(
            bundle, backend=backend, config=config, on_event=on_event, replicas=replicas
        )
        self.tokenizer = self.session.tokenizer

    @property
    def backend(self) -> BackendInfo:
        """What runs the graph."""
        return self.session.info

    @property
    def replicas(self) -> int:
        """Engines."""
        return self.session.replicas

    @property
    def context_length(self) -> int:
        """Tokens of prompt and text together that a request may have."""
        return self.session.context_length

    @overload
    def generate(  # type: ignore[overload-overlap]  # str is itself a Sequence[str]
        self,
        prompts: Prompt,
        params: SamplingParams | None = None,
        options: RequestOptions | None = None,
    ) -> RequestOutput: ...

    @overload
    def generate(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams | None] | None = None,
        options: RequestOptions | Sequence[RequestOptions | None] | None = None,
    ) -> list[RequestOutput]: ...

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams | None] | None = None,
        options: RequestOptions | Sequence[RequestOptions | None] | None = None,
    ) -> RequestOutput | list[RequestOutput]:
        """Continue one prompt, or several together.

        A list may be longer than ``max_waiting``: nothing of it is refused.

        Args:
            prompts: A prompt, or a list of prompts.
            params: How to sample; of a list of prompts also a list, one for each. None is
                ``SamplingParams()``: 256 tokens, chosen as the model's makers mean it.
            options: Priority, timeout, and what the requests keep in the cache; of a list of
                prompts also a list, one for each.

        Returns:
            One output for a prompt; for a list, a list in the same order. A request that fails
            while it runs ends with finish_reason "error" and does not disturb the others.

        Raises:
            RequestError: A prompt is empty, too long, or not a prompt; nothing has run then.
            ConfigError: A list of params or options has another length than that of the prompts.
            SamplingError: The parameters name a token that the model has not.
            ClosedError: The LLM is closed.
        """
        single = is_single(prompts)
        listed = [cast(Prompt, prompts)] if single else cast(Sequence[Prompt], prompts)
        prepared = prepare_all(self.session, listed, params, options)
        if not prepared:
            return []
        ended = threading.Event()
        batch = Batch(prepared, ended.set)
        try:
            batch.submit()
            while not ended.wait(SIGNAL_SECONDS):
                pass
        except BaseException:
            batch.cancel()
            raise
        outputs = batch.outputs()
        return outputs[0] if single else outputs

    def stream(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        options: RequestOptions | None = None,
    ) -> Stream:
        """Continue one prompt and give its text as it is written.

        The request is queued at once, and cancelled when the stream is closed or let go.

        Raises:
            RequestError: The prompt is empty, too long, or not a prompt.
            QueueFullError: ``max_waiting`` requests wait already.
            SamplingError: The parameters name a token that the model has not.
            ClosedError: The LLM is closed.
        """
        return Stream(self.session.prepare(prompt, params, options))

    def counters(self) -> Counters:
        """How the engine does: queue, cache, times; a snapshot."""
        return self.session.counters()

    def close(self) -> None:
        """Cancel what runs and free the memory; calling it twice is fine."""
        self.session.close()

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
