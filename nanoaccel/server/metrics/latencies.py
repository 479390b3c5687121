"""What the completions of one model took and what they were spared, as their chunks came."""

from __future__ import annotations

from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.server.metrics.histogram import SECONDS, SHARES, TOKENS, Histogram


class Latencies:
    """Histograms over the completions of a model.

    Attributes:
        first_token: Seconds from the arrival of a request to its first token.
        between_tokens: Seconds between two tokens; those of one step share its time.
        queued: Seconds from submission to the first step.
        total: Seconds from submission to the end.
        prompt_tokens: Tokens of the prompt.
        generated_tokens: Tokens of the completion.
        cached: Share of the prompt's tokens that the cache had.
        accepted: Share of the draft tokens that were accepted, where there were any.
    """

    def __init__(self) -> None:
        self.first_token = Histogram(SECONDS)
        self.between_tokens = Histogram(SECONDS)
        self.queued = Histogram(SECONDS)
        self.total = Histogram(SECONDS)
        self.prompt_tokens = Histogram(TOKENS)
        self.generated_tokens = Histogram(TOKENS)
        self.cached = Histogram(SHARES)
        self.accepted = Histogram(SHARES)

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
        latencies, stats, usage = self._latencies, chunk.stats, chunk.usage
        latencies.queued.add(stats.queued)
        latencies.total.add(stats.total)
        latencies.prompt_tokens.add(usage.prompt_tokens)
        latencies.generated_tokens.add(usage.completion_tokens)
        latencies.cached.add(stats.cached_tokens / max(1, usage.prompt_tokens))
        if stats.drafted_tokens > 0:
            latencies.accepted.add(stats.accepted_tokens / stats.drafted_tokens)
