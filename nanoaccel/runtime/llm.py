"""The face of the runtime for Python programs: open a bundle, generate, stream."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:  # what a bundle needs is imported when one is opened: numpy alone takes long
    from nanoaccel.runtime.backends import BackendInfo, CachePrecision, Precision
    from nanoaccel.runtime.config import GenerationConfig
    from nanoaccel.runtime.engine.metrics import Counters
    from nanoaccel.runtime.engine.prompts import Prompt
    from nanoaccel.runtime.engine.protocol import EngineClient
    from nanoaccel.runtime.kv import CacheEviction
    from nanoaccel.runtime.sampling import SamplingParams
    from nanoaccel.runtime.scheduling.options import RequestOptions
    from nanoaccel.runtime.streams import OutputCollector, Stream
    from nanoaccel.runtime.types.events import EventListener
    from nanoaccel.runtime.types.outputs import RequestOutput
    from nanoaccel.runtime.types.plan import Float32Array
    from nanoaccel.runtime.types.pooling import Pooling, PoolingKind


class LLM:
    """A model, ready to write.

    A prompt is a string (continued as it is), a list of token ids, or a list of messages
    (``{"role": ..., "content": ...}``, put through the model's chat template). Any number of
    threads may call it; their requests run together, in a thread of the LLM's own.

    An option that is None is what the environment or a nanoaccel.toml says, else what was tuned
    for this machine, else the default; ``nanoaccel config`` shows which.

    Args:
        bundle: A bundle's folder, or a plain folder that optimum-intel exported.
        backend: Name of a backend, or "auto" for the best of the bundle's here.
        replicas: Number of engines, each in a process of its own with its part of the cores; a
            request goes to the one that has the least to do for it. "auto" is one for each NUMA
            node, as far as memory allows it: in this process where there is one node. One where
            ``threads`` says how much of the machine to use.
        on_event: Function that is called with an ``Event`` when a request starts, has a token,
            finishes or fails; in the engine's thread, so it must be quick and must not wait for a
            request. What it raises is logged and counted, and changes nothing else.
        threads: Threads for the graph; None lets the runtime choose.
        precision: Inference precision; "auto", the default, is what this CPU does fastest, "f32"
            computes everything in f32, for exactness tests.
        cache_precision: Type of cached keys and values; "auto", the default, is the backend's
            choice.
        kv_cache_memory: Bytes for the cache, or a size such as "2GB"; None takes up to a quarter of
            the free memory.
        context_length: Tokens of prompt and text together that a request may have; None is what the
            model was made for, which is the most. With less the cache has room for more requests.
        generation_config: Source of the defaults of ``SamplingParams``: "auto" is the model's
            generation_config.json, "off" none, so that the default is greedy.
        max_step_tokens: Tokens in one step at most; longer prompts are cut into chunks. None is
            what ``nanoaccel tune`` found, or 128.
        max_running: Requests that run at the same time at most; 32.
        max_waiting: Requests that may wait before a stream is refused, 1024; ``generate`` never is.
        max_queued_tokens: Tokens of the prompts of requests that wait before a stream is refused,
            unless none waits; None is no limit.
        time_per_token: Seconds that a step may last while requests are decoding; prompts get what
            that leaves. None lets a prompt slow decoding to at most about twice its own time.
        prefix_cache: Whether to keep what was computed for prompts, for those that begin the
            same; True.
        eviction_policy: Order in which cached blocks go: "lru" (the default), "lfu", "cost", or a
            plugin's.
        prompt_cache: Folder where cached blocks go when they are cold, and are found again after
            a restart; None keeps them in memory only.
        prompt_cache_size: Bytes that the folder may hold, or a size such as "4GiB", the default.
        speculation: Drafters that propose tokens, which a step then verifies: "auto" is every one
            that this bundle has, "off" none, else the name of one. The model chooses every token;
            a pass that verifies drafts may round differently. They are used only where they pay.
        draft: Folder of a draft for this model: a bundle with the same tokenizer, or what
            ``nanoaccel draft train`` made; None is the one in the bundle, if it has one.
        corpus_tokens: Tokens of finished requests that drafters may copy from in others; 0, the
            default, keeps requests apart.
        cache_eviction: Bound on the tokens that each request keeps in the cache; None keeps all.
        adapters: Folders of adapters by the names that ``RequestOptions`` calls them, beside those
            of the bundle; empty where they come later, by ``llm.adapters``.
        max_loaded_adapters: Adapters that are in memory, and may be used in one step, at once; 16.
        tuned: Whether to use what ``nanoaccel tune`` found here, for all that is not set; True.

    Raises:
        BundleError: The folder is not a bundle, or is damaged.
        MissingExtraError: The backend is not installed.
        ConfigError: An option is wrong.
        PromptCacheError: The folder of the prompt cache cannot be used.

    Examples:
        >>> from nanoaccel import LLM, SamplingParams
        >>> params = SamplingParams(max_tokens=8, ignore_eos=True)
        >>> with LLM("bundle") as llm:
        ...     output = llm.generate("Once upon a time", params)
        >>> len(output.token_ids), output.finish_reason
        (8, 'length')
    """

    def __init__(
        self,
        bundle: str | Path,
        *,
        backend: str | None = None,
        replicas: int | Literal["auto"] | None = None,
        on_event: EventListener | None = None,
        threads: int | None = None,
        precision: Precision | None = None,
        cache_precision: CachePrecision | None = None,
        kv_cache_memory: int | str | None = None,
        context_length: int | None = None,
        generation_config: GenerationConfig | None = None,
        max_step_tokens: int | None = None,
        max_running: int | None = None,
        max_waiting: int | None = None,
        max_queued_tokens: int | None = None,
        time_per_token: float | None = None,
        prefix_cache: bool | None = None,
        eviction_policy: str | None = None,
        prompt_cache: str | Path | None = None,
        prompt_cache_size: int | str | None = None,
        cache_eviction: CacheEviction | None = None,
        speculation: str | None = None,
        draft: str | Path | None = None,
        corpus_tokens: int | None = None,
        adapters: Mapping[str, str | Path] | None = None,
        max_loaded_adapters: int | None = None,
        tuned: bool | None = None,
    ) -> None:
        given = dict(locals())  # first of all: what was given, by name
        for name in ("self", "bundle", "on_event"):
            del given[name]
        from nanoaccel.runtime.adapter_names import Adapters
        from nanoaccel.runtime.configure import configure
        from nanoaccel.runtime.open import open_client

        asked = configure(given)
        with asked.resolved.naming_places():
            self.client: EngineClient[Any] = open_client(
                bundle, asked.backend, asked.engine, on_event, asked.replicas
            )
        self.tokenizer = self.client.tokenizer
        self.adapters = Adapters(self.client)

    @property
    def backend(self) -> BackendInfo:
        """What runs the graph."""
        return self.client.info

    @property
    def replicas(self) -> int:
        """Engines."""
        return self.client.replicas

    @property
    def context_length(self) -> int:
        """Tokens of prompt and text together that a request may have."""
        return self.client.context_length

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
            SamplingError: The parameters name a token that the model does not have.
            ClosedError: The LLM is closed.

        Examples:
            >>> from nanoaccel import LLM
            >>> with LLM("bundle") as llm:
            ...     one = llm.generate("Once upon a time")
            ...     two = llm.generate(["The sea", [{"role": "user", "content": "Hello"}]])
            >>> one.finish_reason in ("stop", "length"), len(two)
            (True, 2)
        """
        return self._collect(prompts, params, options).outputs()

    def embed(
        self,
        prompts: Prompt | Sequence[Prompt],
        *,
        pooling: PoolingKind = "last",
        normalize: bool = True,
        dimensions: int | None = None,
        options: RequestOptions | Sequence[RequestOptions | None] | None = None,
    ) -> Float32Array:
        """Make a vector of each prompt, from the states behind the model's last layer and norm.

        They run together with all other requests. What the prefix cache has is not computed again
        for "last"; "mean" needs the state of every token.

        Args:
            prompts: A prompt, or a list of prompts.
            pooling: State that stands for a prompt: that of its "last" token, or the "mean" of all.
            normalize: Whether vectors are divided by their length.
            dimensions: Numbers of each vector that are kept, from the first, before that; None
                keeps all.
            options: Priority and timeout; of a list of prompts also a list, one for each.

        Returns:
            f32[P, H], a row for each prompt, in their order; of one prompt f32[1, H].

        Raises:
            RequestError: A prompt cannot run, an argument is wrong, or the bundle's graph does not
                tell states, as those that were exported before it could; nothing has run then.
            GenerationError: A prompt failed, or its time was up.
            ClosedError: The LLM is closed.

        Examples:
            >>> from nanoaccel import LLM
            >>> with LLM("bundle") as llm:
            ...     sea, ocean = llm.embed(["The sea", "The ocean"])
            >>> -1.001 < float(sea @ ocean) < 1.001
            True
        """
        from nanoaccel.runtime.types.pooling import Pooling

        asked = Pooling(kind=pooling, normalize=normalize, dimensions=dimensions)
        return self._collect(prompts, asked, options).embeddings()

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
            QueueFullError: ``max_waiting`` requests or ``max_queued_tokens`` tokens wait already.
            SamplingError: The parameters name a token that the model does not have.
            ClosedError: The LLM is closed.

        Examples:
            >>> from nanoaccel import LLM
            >>> with LLM("bundle") as llm, llm.stream("Once upon a time") as stream:
            ...     chunks = list(stream)
            ...     text = "".join(chunk.text for chunk in chunks)
            >>> chunks[-1].finish_reason in ("stop", "length")
            True
        """
        from nanoaccel.runtime.streams import Stream

        return Stream(self.client, self.client.process(prompt, params, options))

    def counters(self) -> Counters:
        """How the engine does: queue, cache, times; a snapshot.

        Examples:
            >>> from nanoaccel import LLM
            >>> with LLM("bundle") as llm:
            ...     output = llm.generate("Once upon a time")
            ...     counters = llm.counters()
            >>> counters.submitted, counters.generated_tokens == len(output.token_ids)
            (1, True)
        """
        return self.client.counters()

    def close(self) -> None:
        """Cancel what runs and free the memory; calling it twice is fine.

        Examples:
            >>> from nanoaccel import LLM
            >>> llm = LLM("bundle")
            >>> llm.close()
            >>> llm.generate("Once upon a time")
            Traceback (most recent call last):
            nanoaccel.errors.ClosedError: this LLM is closed. Open the bundle again
        """
        self.client.close()

    def _collect(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: SamplingParams | Pooling | Sequence[SamplingParams | None] | None,
        options: RequestOptions | Sequence[RequestOptions | None] | None,
    ) -> OutputCollector:
        """Run prompts until all have ended."""
        from nanoaccel.runtime.streams import SIGNAL_SECONDS, OutputCollector

        ended = threading.Event()
        collector = OutputCollector(self.client, prompts, params, options, ended.set)
        try:
            collector.submit()
            while not ended.wait(SIGNAL_SECONDS):
                pass
        except BaseException:
            collector.cancel()
            raise
        return collector

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
