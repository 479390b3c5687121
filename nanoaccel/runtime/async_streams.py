"""An iterator over the chunks of a request, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from nanoaccel.runtime.engine.protocol import Submission
from nanoaccel.runtime.streams import consumed
from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.runtime.types.ownership import Owner


class AsyncStream(AsyncIterator[Chunk]):
    """As ``Stream``, for asyncio; it is queued when it is first read.

    Args:
        prepare: Makes the requests; called in a worker thread, as long prompts take a while.
    """

    def __init__(self, prepare: Callable[[], Submission]) -> None:
        self._owner = Owner()
        self._submission: Submission | None = None
        self._prepare = prepare
        self._chunks: asyncio.Queue[Chunk] = asyncio.Queue()
        self._left: int | None = None
        self._iterated = False
        self._closed = False

    def __aiter__(self) -> AsyncIterator[Chunk]:
        """Iterate over it, once.

        Raises:
            StreamConsumedError: This is the second time.
        """
        if self._iterated:
            raise consumed()
        self._iterated = True
        return _Chunks(self)

    async def __anext__(self) -> Chunk:
        if self._left is None and not self._closed:
            await self._begin()
        if self._left == 0 or self._closed:
            raise StopAsyncIteration
        assert self._left is not None
        self._owner.check()
        chunk = await self._chunks.get()
        if chunk.finish_reason is not None:
            self._left -= 1
            if self._left == 0:
                self._submission = None
        return chunk

    async def aclose(self) -> None:
        """Cancel what still runs; further reading ends at once. Calling it twice is fine."""
        self._close()

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()

    def __del__(self) -> None:
        self._close()

    async def _begin(self) -> None:
        """Raises what ``LLM.stream`` does."""
        self._left = 0  # should this fail, there is nothing to read
        loop = asyncio.get_running_loop()
        chunks = self._chunks

        def deliver(chunk: Chunk) -> None:
            call_in(loop, chunks.put_nowait, chunk)

        def submit() -> int:
            self._submission = submission = self._prepare()
            submission.submit(deliver, even_if_full=False)
            if self._closed:  # meanwhile
                submission.cancel()
            return submission.count

        try:
            self._left = await asyncio.to_thread(submit)
        except asyncio.CancelledError:  # the thread may be halfway
            self._close()
            raise

    def _close(self) -> None:
        self._closed = True
        if self._submission is not None:
            self._submission.cancel()
        self._submission = None


class _Chunks(AsyncIterator[Chunk]):
    """What ``async for`` asks, so that it can be asked for an iterator again, as all iterators."""

    def __init__(self, stream: AsyncStream) -> None:
        self._stream = stream

    async def __anext__(self) -> Chunk:
        return await self._stream.__anext__()


def call_in(
    loop: asyncio.AbstractEventLoop, function: Callable[..., None], *values: object
) -> None:
    """Call a function in an event loop, from another thread; nobody listens when it is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *values)
