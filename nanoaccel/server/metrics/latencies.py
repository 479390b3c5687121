"""What the completions of one model took, as their chunks came."""

from __future__ import annotations

from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.server.metrics.histogram import SECONDS, TOKENS, Histogram


class Latencies:
    """Histograms over the completions of a model.

    Attributes:
        first_token: Seconds from the arrival of a request to its first token.
        between_tokens: Seconds between two tokens; those of one step share its time.
        queued: Seconds from submission to the first step.
        total: Seconds from submission to the end.
        prompt_tokens: Tokens of the prompt.
        generated_tokens: Tokens of the completion.
    """

    def __init__(self) -> None:
        self.first_token = Histogram(SECONDS)
        self.between_tokens = Histogram(SECONDS)
        self.queued = Histogram(SECONDS)
        self.total = Histogram(SECONDS)
        self.prompt_tokens = Histogram(TOKENS)
        self.generated_tokens = Histogram(TOKENS)

    def watch(self, arrived: float) -> CompletionWatch:
        """What is to be told of each chunk of a completion.

        Args:
            arrived: When its request came, by ``time.perf_counter``.
        """
        return CompletionWatch(self, arrived)


class CompletionWatch:
    """Notes the chunks of one completion.

    Args:
        latencies: Where.
        arrived: When its request came.
    """

    def __init__(self, latencies: Latencies, arrived: float) -> None:
        self._latencies = latencies
        self._arrived = arrived
        self._last: float | None = None

    def note(self, chunk: Chunk, now: float) -> None:
        """Note a chunk that came now."""
        count = len(chunk.token_ids)
        if count > 0:
            if self._last is None:
                self._latencies.first_token.add(now - self._arrived)
            else:
                self._latencies.between_tokens.add((now - self._last) / count, count)
            self._last = now
        if chunk.finish_reason is None or chunk.usage is None or chunk.stats is None:
            return
        self._latencies.queued.add(chunk.stats.queued)
        self._latencies.total.add(chunk.stats.total)
        self._latencies.prompt_tokens.add(chunk.usage.prompt_tokens)
        self._latencies.generated_tokens.add(chunk.usage.completion_tokens)
