"""Completions on their way: from the engine's thread to the event loop, in bounded number."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from nanoaccel.errors import PromptTooLongError
from nanoaccel.runtime.engine.prompts import Prompt
from nanoaccel.runtime.engine.protocol import EngineClient
from nanoaccel.runtime.loop_calls import call_in
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.types.outputs import Chunk, Completion, join_chunks
from nanoaccel.runtime.types.pooling import Pooling
from nanoaccel.server.api_error import ApiError
from nanoaccel.server.generation.context_length import check_length, prompt_refusal
from nanoaccel.server.generation.intake import read_in_thread, text_size
from nanoaccel.server.metrics.latencies import CompletionWatch


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be continued, or to become an embedding, and how.

    Args:
        prompts: Each gets ``params.n`` completions, or one embedding.
        params: How to sample or pool.
        options: How to treat them.
        cuts: Whether ``params.max_tokens`` is a default, which is cut to what fits the context;
            what a client asked for is not.
    """

    prompts: Sequence[Prompt]
    params: SamplingParams | Pooling
    options: RequestOptions
    cuts: bool = False


class Generation:
    """The completions of some prompts, queued at once; leaving its block cancels what runs.

    Args:
        client: Runs the requests.
        requests: Requests of each prompt; not queued yet.
        watch: Makes what is told of each completion's chunks.
        backlog: Chunks that may wait for the reader before all is cancelled, for each completion.
        on_backlog: Called in the event loop when more wait.
    """

    def __init__(
        self,
        client: EngineClient[Any],
        requests: Sequence[Sequence[Any]],
        watch: Callable[[], CompletionWatch],
        *,
        backlog: int,
        on_backlog: Callable[[], None],
    ) -> None:
        self._client = client
        self._requests = [one for each in requests for one in each]
        self.prompt_ids: list[list[int]] = [each[0].prompt_ids for each in requests]
        self._watches = [watch() for _ in self._requests]
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[tuple[float, Chunk]] = deque()
        self._filled = asyncio.Event()
        self._woken = False
        self._most_waiting = backlog * len(self._requests)
        self._overrun = False
        self._reader_is_here = True
        self._on_backlog = on_backlog
        self._left = len(self._requests)
        begin = 0
        try:
            for each in requests:
                client.submit(each, partial(self._take, begin))
                begin += len(each)
        except BaseException:
            self.cancel()
            raise

    @classmethod
    async def start(
        cls,
        client: EngineClient[Any],
        work: Work,
        watch: Callable[[], CompletionWatch],
        *,
        backlog: int,
        on_backlog: Callable[[], None],
    ) -> Generation:
        """Encode prompts in a thread and queue them.

        Raises:
            ApiError: A prompt and the tokens that are asked for do not fit the context.
            NanoAccelError: As ``EngineClient.process`` and ``submit``.
        """
        requests = await read_in_thread(text_size(work.prompts), _process, client, work)
        return cls(client, requests, watch, backlog=backlog, on_backlog=on_backlog)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all prompts, each counted once."""
        return sum(map(len, self.prompt_ids))

    @property
    def num_completions(self) -> int:
        """Completions of all prompts."""
        return len(self._requests)

    async def next(self) -> list[Chunk]:
        """Chunks that have come, waiting for at least one; none when all completions have ended.

        The index of each is that of its completion among those of all prompts.

        Raises:
            ApiError: Too many wait already.
        """
        self._reader_is_here = True
        while self._left > 0:
            if self._overrun:
                raise ApiError(408, "the answer was not read fast enough", "slow_reader")
            self._filled.clear()
            self._woken = False
            if self._chunks:
                self._reader_is_here = False  # until it has sent these
                return [self._note(*self._chunks.popleft()) for _ in range(len(self._chunks))]
            await self._filled.wait()
        return []

    async def completions(self) -> list[Completion]:
        """All completions, when they have ended."""
        chunks: list[list[Chunk]] = [[] for _ in self._requests]
        while batch := await self.next():
            for chunk in batch:
                chunks[chunk.index].append(chunk)
        return [join_chunks(each) for each in chunks]

    def cancel(self) -> None:
        """End what runs; its last chunks say so."""
        self._client.cancel(self._requests)

    async def __aenter__(self) -> Generation:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._left > 0:
            self.cancel()

    def _take(self, begin: int, chunk: Chunk) -> None:
        """Take a chunk of the prompt whose completions begin there; in the engine's thread."""
        if begin > 0:
            chunk = replace(chunk, index=begin + chunk.index)
        self._chunks.append((time.perf_counter(), chunk))
        too_many = len(self._chunks) > self._most_waiting and not self._reader_is_here
        if too_many and not self._overrun:
            self._overrun = True
            self.cancel()
            call_in(self._loop, self._on_backlog)
        if not self._woken:
            self._woken = True
            call_in(self._loop, self._filled.set)

    def _note(self, when: float, chunk: Chunk) -> Chunk:
        self._watches[chunk.index].note(chunk, when)
        if chunk.finish_reason is not None:
            self._left -= 1
        return chunk


def _process(client: EngineClient[Any], work: Work) -> list[list[Any]]:
    """The requests of each prompt."""
    params = work.params
    asked = params.max_tokens if isinstance(params, SamplingParams) and not work.cuts else None
    made = []
    for prompt in work.prompts:
        try:
            requests = client.process(prompt, params, work.options)
        except PromptTooLongError as error:
            raise prompt_refusal(error, asked) from None
        if asked is not None:
            check_length(len(requests[0].prompt_ids), asked, client.context_length)
        made.append(list(requests))
    return made
