"""Several prompts that are run together and waited for together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nanoaccel.runtime.engine.protocol import Submission
from nanoaccel.runtime.engine.thread import Sink
from nanoaccel.runtime.types.outputs import Chunk, RequestOutput, collect


class OutputCollector:
    """Collects the chunks of prompts until all have ended.

    Args:
        prepared: One or more, not queued yet.
        on_end: Called when the last has ended, in the engine's thread.
    """

    def __init__(self, prepared: Sequence[Submission], on_end: Callable[[], None]) -> None:
        assert prepared, "nothing would ever end"
        self._prepared = prepared
        self._on_end = on_end
        self._chunks: list[list[Chunk]] = [[] for _ in prepared]
        self._left = sum(submission.count for submission in prepared)
        self._cancelled = False

    def submit(self) -> None:
        """Queue all, however many: who called waits for them, so they cannot pile up.

        Raises:
            ClosedError: The engine has ended.
        """
        for chunks, submission in zip(self._chunks, self._prepared, strict=True):
            submission.submit(self._sink(chunks), even_if_full=True)
        if self._cancelled:  # meanwhile, by another thread
            self.cancel()

    def cancel(self) -> None:
        """End those that have not ended; also while another thread submits them."""
        self._cancelled = True
        for submission in self._prepared:
            submission.cancel()

    def outputs(self) -> list[RequestOutput]:
        """What was written, in the order of the prompts; only when all have ended."""
        return [
            collect(submission.prompt_ids, chunks)
            for submission, chunks in zip(self._prepared, self._chunks, strict=True)
        ]

    def _sink(self, chunks: list[Chunk]) -> Sink:
        def sink(chunk: Chunk) -> None:
            chunks.append(chunk)
            if chunk.finish_reason is not None:
                self._left -= 1
                if self._left == 0:
                    self._on_end()

        return sink
