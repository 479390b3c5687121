"""Iterators over the chunks of a request: one for threads, one for asyncio."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

from nanoaccel.errors import StreamConsumedError
from nanoaccel.runtime.output import Chunk
from nanoaccel.runtime.session import Submission

# A wait without a limit misses a Ctrl-C that comes just before it, and on Windows every one.
SIGNAL_SECONDS = 0.2


class Stream(Iterator[Chunk]):
    """The chunks of a prompt's completions, as they are written.

    It holds what was not read yet, so a slow reader keeps nobody waiting. Closing it, leaving its
    ``with`` block or letting it go cancels what still runs.

    Args:
        submission: Requests that are not queued yet; they are now.

    Raises:
        QueueFullError: Too many requests wait already.
        ClosedError: The LLM is closed.
    """

    def __init__(self, submission: Submission) -> None:
        self._submission: Submission | None = None
        self._chunks: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
        self._left = submission.count
        self._iterated = False
        submission.submit(self._chunks.put, even_if_full=False)
        self._submission = submission

    def __iter__(self) -> Iterator[Chunk]:
        """Iterate over it, once.

        Raises:
            StreamConsumedError: This is the second time.
        """
        if self._iterated:
            raise _consumed()
        self._iterated = True
        return iter(self.__next__, None)

    def __next__(self) -> Chunk:
        if self._left == 0:
            raise StopIteration
        while True:
            try:
                chunk = self._chunks.get(timeout=SIGNAL_SECONDS)
                break
            except queue.Empty:
                continue
        self._note(chunk)
        return chunk

    def close(self) -> None:
        """Cancel what still runs; further reading ends at once. Calling it twice is fine."""
        if self._submission is not None:
            self._submission.cancel()
        self._submission = None
        self._left = 0

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _note(self, chunk: Chunk) -> None:
        # Another thread may have closed it meanwhile.
        if chunk.finish_reason is not None and self._left > 0:
            self._left -= 1
            if self._left == 0:
                self._submission = None


class AsyncStream(AsyncIterator[Chunk]):
    """The same for asyncio; it is queued when it is first read.

    Args:
        prepare: Makes the requests; called in a worker thread, as long prompts take a while.
    """

    def __init__(self, prepare: Callable[[], Submission]) -> None:
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
            raise _consumed()
        self._iterated = True
        return _Chunks(self)

    async def __anext__(self) -> Chunk:
        if self._left is None and not self._closed:
            await self._begin()
        if self._left == 0 or self._closed:
            raise StopAsyncIteration
        assert self._left is not None
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


def _consumed() -> StreamConsumedError:
    return StreamConsumedError(
        "this stream was iterated already", "Collect its chunks in a list, or ask for a new one"
    )
