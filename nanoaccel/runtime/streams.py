"""Chunks on their way back to the caller: one by one, for threads or asyncio, or collected."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

import numpy as np

from nanoaccel.errors import ConfigError, GenerationError, StreamConsumedError
from nanoaccel.runtime.engine.prompts import Prompt, is_single
from nanoaccel.runtime.engine.protocol import EngineClient, Sink
from nanoaccel.runtime.loop_calls import call_in
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.types.outputs import Chunk, RequestOutput, collect
from nanoaccel.runtime.types.ownership import Owner
from nanoaccel.runtime.types.plan import Float32Array
from nanoaccel.runtime.types.pooling import Pooling

# A wait without a limit misses a Ctrl-C that comes just before it, and on Windows every one.
SIGNAL_SECONDS = 0.2


class _Running:
    """Requests that are queued at once, and cancelled when this is closed or let go."""

    def __init__(self, client: EngineClient[Any], requests: Sequence[Any], sink: Sink) -> None:
        self._owner = Owner()
        self._cancel: Callable[[], None] | None = None
        self._left = len(requests)
        self._iterated = False
        client.submit(requests, sink)
        self._cancel = partial(client.cancel, requests)

    def __del__(self) -> None:
        self._close()

    def _begin_iteration(self) -> None:
        if self._iterated:
            raise StreamConsumedError(
                "this stream was iterated already",
                "Collect its chunks in a list, or ask for a new one",
            )
        self._iterated = True

    def _note(self, chunk: Chunk) -> Chunk:
        # Another thread may have closed it meanwhile.
        if chunk.finish_reason is not None and self._left > 0:
            self._left -= 1
            if self._left == 0:
                self._cancel = None
        return chunk

    def _close(self) -> None:
        if self._cancel is not None:
            self._cancel()
        self._cancel = None
        self._left = 0


class Stream(_Running, Iterator[Chunk]):
    """The chunks of a prompt's completions, as they are written.

    It holds what was not read yet, so a slow reader keeps nobody waiting. Closing it, leaving its
    ``with`` block or letting it go cancels what still runs.

    Args:
        client: Runs the requests.
        requests: Requests of one prompt that are not queued yet; they are now.

    Raises:
        QueueFullError: Too many requests wait already.
        ClosedError: The LLM is closed.

    Examples:
        >>> from nanoaccel import LLM
        >>> with LLM("bundle") as llm:
        ...     for chunk in llm.stream("Once upon a time"):
        ...         pass
        >>> chunk.finish_reason in ("stop", "length")
        True
    """

    def __init__(self, client: EngineClient[Any], requests: Sequence[Any]) -> None:
        self._chunks: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
        super().__init__(client, requests, self._chunks.put)

    def __iter__(self) -> Iterator[Chunk]:
        """Iterate over it, once.

        Raises:
            StreamConsumedError: This is the second time.
        """
        self._begin_iteration()
        return iter(self.__next__, None)

    def __next__(self) -> Chunk:
        if self._left == 0:
            raise StopIteration
        self._owner.check()
        while True:
            with suppress(queue.Empty):
                return self._note(self._chunks.get(timeout=SIGNAL_SECONDS))

    def close(self) -> None:
        """Cancel what still runs; further reading ends at once. Calling it twice is fine.

        Examples:
            >>> from nanoaccel import LLM
            >>> with LLM("bundle") as llm:
            ...     stream = llm.stream("Once upon a time")
            ...     stream.close()
            ...     list(stream)
            []
        """
        self._close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()


class AsyncStream(_Running, AsyncIterator[Chunk]):
    """As ``Stream``, for asyncio.

    It may be made in any thread, and is read in one event loop.

    Args:
        client: Runs the requests.
        requests: Requests of one prompt that are not queued yet; they are now.

    Raises:
        QueueFullError: Too many requests wait already.
        ClosedError: The LLM is closed.

    Examples:
        >>> import asyncio
        >>> from nanoaccel import AsyncLLM
        >>> async def main():
        ...     async with AsyncLLM("bundle") as llm:
        ...         async for chunk in llm.stream("Once upon a time"):
        ...             pass
        ...     return chunk.finish_reason
        >>> asyncio.run(main()) in ("stop", "length")
        True
    """

    def __init__(self, client: EngineClient[Any], requests: Sequence[Any]) -> None:
        self._chunks = _AsyncQueue()
        super().__init__(client, requests, self._chunks.put)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        """Iterate over it, once.

        Raises:
            StreamConsumedError: This is the second time.
        """
        self._begin_iteration()
        return _AsyncChunks(self)

    async def __anext__(self) -> Chunk:
        if self._left == 0:
            raise StopAsyncIteration
        self._owner.check()
        return self._note(await self._chunks.get())

    async def aclose(self) -> None:
        """Cancel what still runs; further reading ends at once. Calling it twice is fine.

        Examples:
            >>> import asyncio
            >>> from nanoaccel import AsyncLLM
            >>> async def main():
            ...     async with AsyncLLM("bundle") as llm:
            ...         stream = llm.stream("Once upon a time")
            ...         await stream.aclose()
            ...         return [chunk async for chunk in stream]
            >>> asyncio.run(main())
            []
        """
        self._close()

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()


class _AsyncChunks(AsyncIterator[Chunk]):
    """What ``async for`` asks, so that it can be asked for an iterator again, as all iterators."""

    def __init__(self, stream: AsyncStream) -> None:
        self._stream = stream

    async def __anext__(self) -> Chunk:
        return await self._stream.__anext__()


class _AsyncQueue:
    """Filled by any thread, read in the event loop that asks first."""

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque()
        self._filled = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def put(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)
        if self._loop is not None:
            call_in(self._loop, self._filled.set)

    async def get(self) -> Chunk:
        self._loop = asyncio.get_running_loop()
        while not self._chunks:
            self._filled.clear()  # what sets it runs in this loop, so not before the wait
            if not self._chunks:
                await self._filled.wait()
        return self._chunks.popleft()


class OutputCollector:
    """Runs prompts together and collects their chunks until all have ended.

    Args:
        client: Runs the requests.
        prompts: One prompt, or a list of prompts; processed here, queued by ``submit``.
        params: How to sample all of them, or each; or how each becomes an embedding.
        options: How to treat all of them, or each.
        on_end: Called when the last request has ended, in the engine's thread.

    Raises:
        ConfigError: A list of params or options has another length than that of the prompts.
        NanoAccelError: As ``EngineClient.process``; nothing is queued then.
    """

    def __init__(
        self,
        client: EngineClient[Any],
        prompts: Prompt | Sequence[Prompt],
        params: SamplingParams | Pooling | Sequence[SamplingParams | None] | None,
        options: RequestOptions | Sequence[RequestOptions | None] | None,
        on_end: Callable[[], None],
    ) -> None:
        self._client = client
        self._single = is_single(prompts)
        listed = [cast(Prompt, prompts)] if self._single else cast(Sequence[Prompt], prompts)
        asked = zip(
            listed,
            _for_each("params", params, len(listed)),
            _for_each("options", options, len(listed)),
            strict=True,
        )
        self._requests = [client.process(*each) for each in asked]
        self._on_end = on_end
        self._chunks: list[list[Chunk]] = [[] for _ in self._requests]
        self._left = sum(map(len, self._requests))
        self._cancelled = False

    def submit(self) -> None:
        """Queue all, however many: the caller waits for them, so they cannot pile up.

        Raises:
            ClosedError: The engine has ended.
        """
        if not self._requests:
            self._on_end()
        for chunks, requests in zip(self._chunks, self._requests, strict=True):
            self._client.submit(requests, self._sink(chunks), even_if_full=True)
        if self._cancelled:  # meanwhile, by another thread
            self.cancel()

    def cancel(self) -> None:
        """End those that have not ended; also while another thread submits them."""
        self._cancelled = True
        for requests in self._requests:
            self._client.cancel(requests)

    def outputs(self) -> RequestOutput | list[RequestOutput]:
        """What was written, of one prompt or in the order of the list; only after the end."""
        outputs = [
            collect(requests[0].prompt_ids, chunks)
            for requests, chunks in zip(self._requests, self._chunks, strict=True)
        ]
        return outputs[0] if self._single else outputs

    def embeddings(self) -> Float32Array:
        """The embeddings f32[P, H] of all prompts, in their order; only after the end.

        Raises:
            GenerationError: One of them was not made.
        """
        ends = [chunks[-1] for chunks in self._chunks]
        for number, end in enumerate(ends):
            if end.embedding is None:
                why = end.finish_reason if end.error is None else end.error
                raise GenerationError(f"prompt {number} has no embedding: {why}")
        found = [end.embedding for end in ends if end.embedding is not None]
        return np.stack(found) if found else np.empty((0, 0), np.float32)

    def _sink(self, chunks: list[Chunk]) -> Sink:
        def sink(chunk: Chunk) -> None:
            chunks.append(chunk)
            if chunk.finish_reason is not None:
                self._left -= 1
                if self._left == 0:
                    self._on_end()

        return sink


def _for_each(name: str, given: Any, count: int) -> list[Any]:
    """One for each prompt, of one for all or of a list."""
    if not isinstance(given, list | tuple):
        return [given] * count
    if len(given) != count:
        raise ConfigError(
            f"{name} is a list of {len(given)} for {count} prompts", "Give one for all, or one each"
        )
    return list(given)
