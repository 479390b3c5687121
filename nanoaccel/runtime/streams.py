"""An iterator over the chunks of a request."""

from __future__ import annotations

import queue
from collections.abc import Iterator

from nanoaccel.errors import StreamConsumedError
from nanoaccel.runtime.engine.protocol import Submission
from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.runtime.types.ownership import Owner

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
        self._owner = Owner()
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
            raise consumed()
        self._iterated = True
        return iter(self.__next__, None)

    def __next__(self) -> Chunk:
        if self._left == 0:
            raise StopIteration
        self._owner.check()
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


def consumed() -> StreamConsumedError:
    """The error of a stream that is iterated twice."""
    return StreamConsumedError(
        "this stream was iterated already", "Collect its chunks in a list, or ask for a new one"
    )
