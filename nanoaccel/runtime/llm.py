"""The face of the runtime for Python programs: open a bundle, generate, stream."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import TypeAlias, cast, overload

from nanoaccel.bundle import Bundle
from nanoaccel.errors import EmptyPromptError, NanoAccelError, PromptTooLongError, RequestError
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import (
    Backend,
    BackendInfo,
    BackendOptions,
    CachePrecision,
    Precision,
)
from nanoaccel.runtime.config import DEFAULT_RUNNING, DEFAULT_STEP_TOKENS, EngineConfig
from nanoaccel.runtime.cpu.memory import free_memory
from nanoaccel.runtime.engine import Engine
from nanoaccel.runtime.output import Chunk, RequestOutput, join_chunks
from nanoaccel.runtime.request import Request
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.text import Tokenizer

Message: TypeAlias = Mapping[str, object]
Prompt: TypeAlias = str | Sequence[int] | Sequence[Message]

_PROMPT_KINDS = "A prompt is a string, a list of token ids or a list of messages"


class LLM:
    """A model, ready to write.

    A prompt is a string (continued as it is), a list of token ids, or a list of messages
    (``{"role": ..., "content": ...}``, put through the model's chat template). Any number of
    threads may call it; their requests run together.

    Args:
        bundle: A bundle's folder, or a plain folder that optimum-intel exported.
        backend: Name of a backend, or "auto" for the one that the bundle was made for.
        threads, precision, cache_precision, kv_cache_memory, max_step_tokens, max_running: As in
            ``EngineConfig``.

    Raises:
        BundleError: The folder is not a bundle, or is damaged.
        MissingExtraError: The backend is not installed.
        ConfigError: An option is wrong.
    """

    def __init__(
        self,
        bundle: str | Path,
        *,
        backend: str = "auto",
        threads: int | None = None,
        precision: Precision = "auto",
        cache_precision: CachePrecision = "auto",
        kv_cache_memory: int | None = None,
        max_step_tokens: int = DEFAULT_STEP_TOKENS,
        max_running: int = DEFAULT_RUNNING,
    ) -> None:
        config = EngineConfig(
            threads=threads,
            precision=precision,
            cache_precision=cache_precision,
            kv_cache_memory=kv_cache_memory,
            max_step_tokens=max_step_tokens,
            max_running=max_running,
        )
        opened = Bundle.open(Path(bundle))
        self.tokenizer = Tokenizer.load(opened.tokenizer_folder)
        self._backend: Backend = BACKENDS.resolve(opened.runtime if backend == "auto" else backend)(
            BackendOptions(
                graph=opened.graph,
                threads=config.threads,
                precision=config.precision,
                cache_precision=config.cache_precision,
                weight_group_size=opened.weight_group_size,
            )
        )
        blocks = config.cache_blocks(self._backend.info, opened.context_length, free_memory())
        self._engine = Engine(
            self._backend,
            num_blocks=blocks,
            max_step_tokens=config.max_step_tokens,
            max_running=config.max_running,
        )
        self.context_length = min(opened.context_length, self._engine.cache_tokens)
        self._lock = threading.RLock()
        self._outboxes: dict[int, deque[Chunk]] = {}
        self._ids = count()
        self._closed = False

    @property
    def backend(self) -> BackendInfo:
        """What runs the graph."""
        return self._backend.info

    @overload
    def generate(  # type: ignore[overload-overlap]  # str is itself a Sequence[str]
        self, prompts: Prompt, params: SamplingParams | None = None
    ) -> RequestOutput: ...

    @overload
    def generate(
        self, prompts: Sequence[Prompt], params: SamplingParams | None = None
    ) -> list[RequestOutput]: ...

    def generate(
        self, prompts: Prompt | Sequence[Prompt], params: SamplingParams | None = None
    ) -> RequestOutput | list[RequestOutput]:
        """Continue one prompt, or several together.

        Args:
            prompts: A prompt, or a list of prompts.
            params: How to sample; None is ``SamplingParams()``, greedy and 256 tokens.

        Returns:
            One output for a prompt; for a list, a list in the same order. A request that fails
            while it runs ends with finish_reason "error" and does not disturb the others.

        Raises:
            RequestError: A prompt is empty, too long, or not a prompt; nothing has run then.
            SamplingError: The parameters name a token that the model has not.
        """
        params = SamplingParams() if params is None else params
        single = _is_single(prompts)
        listed = [cast(Prompt, prompts)] if single else list(cast(Sequence[Prompt], prompts))
        encoded = [self._encode(prompt) for prompt in listed]
        groups = [self._make_requests(ids, params) for ids in encoded]
        try:
            self._submit(request for group in groups for request in group)
            outputs = [
                RequestOutput(tuple(ids), tuple(join_chunks(list(self._follow(r))) for r in group))
                for ids, group in zip(encoded, groups, strict=True)
            ]
        finally:
            self._abandon(request for group in groups for request in group)
        return outputs[0] if single else outputs

    def stream(self, prompt: Prompt, params: SamplingParams | None = None) -> Iterator[Chunk]:
        """Continue one prompt and give its text as it is written.

        The request is cancelled when the iterator is closed or thrown away.

        Raises:
            RequestError: The prompt is empty, too long, or not a prompt.
            SamplingError: The parameters name a token that the model has not.
        """
        params = SamplingParams() if params is None else params
        return self._stream(self._make_requests(self._encode(prompt), params))

    def close(self) -> None:
        """Cancel what runs and free the memory; calling it twice is fine."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for request in list(self._engine.scheduler.requests()):
                self._cancel(request)
            self._backend.close()

    def __enter__(self) -> LLM:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _encode(self, prompt: Prompt) -> list[int]:
        if not isinstance(prompt, Sequence) or isinstance(prompt, bytes):
            raise RequestError(f"{type(prompt).__name__} is not a prompt", _PROMPT_KINDS)
        ids = self._tokenize(prompt) if len(prompt) > 0 else []
        if not ids:
            raise EmptyPromptError("the prompt is empty", "Give it at least one word")
        if len(ids) >= self.context_length:
            raise PromptTooLongError(
                f"the prompt has {len(ids)} tokens; {self.context_length - 1} fit",
                "Shorten it, or give the cache more memory if the model's context is longer",
            )
        return ids

    def _tokenize(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, str):
            return self.tokenizer.encode(prompt)
        if all(isinstance(item, Mapping) for item in prompt):
            return self.tokenizer.encode_chat(cast(Sequence[Message], prompt))
        return self._check_ids(cast(Sequence[int], prompt))

    def _check_ids(self, ids: Sequence[int]) -> list[int]:
        for token in ids:
            if not isinstance(token, Integral) or not 0 <= token < self._backend.info.vocab_size:
                raise RequestError(
                    f"{token!r} is not a token id from 0 to {self._backend.info.vocab_size - 1}",
                    _PROMPT_KINDS,
                )
        return [int(token) for token in ids]

    def _make_requests(self, ids: list[int], params: SamplingParams) -> list[Request]:
        """One request for each completion; not queued yet."""
        room = self.context_length - len(ids)
        max_tokens = room if params.max_tokens is None else min(room, params.max_tokens)
        seed = secrets.randbits(63) if params.seed is None else params.seed
        with self._lock:
            if self._closed:
                raise NanoAccelError("this LLM is closed", "Open the bundle again")
            return [
                Request(
                    next(self._ids),
                    ids,
                    params,
                    max_tokens=max_tokens,
                    tokenizer=self.tokenizer,
                    vocab_size=self._backend.info.vocab_size,
                    seed=seed + index,
                    index=index,
                )
                for index in range(params.n)
            ]

    def _submit(self, requests: Iterable[Request]) -> None:
        with self._lock:
            for request in requests:
                self._outboxes[request.id] = deque()
                self._engine.add(request)

    def _stream(self, requests: list[Request]) -> Iterator[Chunk]:
        self._submit(requests)
        try:
            while live := [r for r in requests if r.id in self._outboxes]:
                for request in live:
                    yield from self._collect(request)
        finally:
            self._abandon(requests)

    def _follow(self, request: Request) -> Iterator[Chunk]:
        while request.id in self._outboxes:
            yield from self._collect(request)

    def _collect(self, request: Request) -> list[Chunk]:
        """Take the chunks of a request that are ready; run a step when there are none."""
        with self._lock:
            outbox = self._outboxes[request.id]
            if not outbox:
                for delivery in self._engine.step():
                    self._outboxes[delivery.request.id].append(delivery.chunk)
            chunks = list(outbox)
            outbox.clear()
            if request.finish_reason is not None:
                del self._outboxes[request.id]
            return chunks

    def _abandon(self, requests: Iterable[Request]) -> None:
        with self._lock:
            for request in requests:
                self._cancel(request)
                self._outboxes.pop(request.id, None)

    def _cancel(self, request: Request) -> None:
        chunk = self._engine.cancel(request)
        if chunk is not None:
            self._outboxes[request.id].append(chunk)


def _is_single(prompts: Prompt | Sequence[Prompt]) -> bool:
    """Whether this is one prompt: text, token ids or messages, and not a list of these."""
    if isinstance(prompts, str):
        return True
    if not isinstance(prompts, Sequence) or isinstance(prompts, bytes):
        raise RequestError(f"{type(prompts).__name__} is not a prompt", _PROMPT_KINDS)
    return len(prompts) > 0 and isinstance(prompts[0], Integral | Mapping)
