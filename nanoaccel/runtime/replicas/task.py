"""A completion, as the user's process knows it while an engine in another one writes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from nanoaccel.runtime.config import RequestOptions
from nanoaccel.runtime.replicas.messages import Submit
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.types.outputs import Chunk, FinishReason, RequestStats, Usage

# An engine ends a request that is late; it takes no time that is over.
_NO_TIME = 1e-6


@dataclass(slots=True, eq=False)
class Task:
    """A completion that has not ended.

    Args:
        number: Unique, and rising with arrival.
        index: Which of the ``n`` completions of its prompt it is.
        prompt: Tokens, i32.
        chain: Names of the prompt's blocks, see ``router.prefix_chain``.
        params: Of this completion alone, its seed settled: it can begin anew anywhere.
        options: How to treat it.
        deadline: When it is ended, seconds on ``time.perf_counter``; None never.
        sink: Is given its chunks.
        submitted: When that was, on the same clock.
        place: Of its engine; None while it has none.
        running: Whether the engine works on it.
        announced: Whether its start was told.
        written: Tokens that it has.
        begun: Whether some of it was delivered, so that it cannot begin anew.
        first_token: When it had that, on the same clock.
        attempts: Engines that ended while they worked on it.
        cancelled: Whether the user wants no more of it.
        lost: Seconds from its submission until its engine was told of it.
    """

    number: int
    index: int
    prompt: bytes
    chain: Sequence[bytes]
    params: SamplingParams
    options: RequestOptions
    deadline: float | None
    sink: Callable[[Chunk], None]
    submitted: float = field(default_factory=time.perf_counter)
    place: int | None = None
    running: bool = False
    announced: bool = False
    written: int = 0
    begun: bool = False
    first_token: float | None = None
    attempts: int = 0
    cancelled: bool = False
    lost: float = 0.0

    @property
    def num_prompt(self) -> int:
        """Tokens of the prompt."""
        return len(self.prompt) // 4

    @property
    def limit(self) -> int:
        """Tokens that it may write."""
        assert self.params.max_tokens is not None
        return self.params.max_tokens

    def message(self) -> Submit:
        """What an engine is told; the time that is left of its timeout counts from now."""
        # The prompt is made; what made it may be too large, or of a kind that cannot be sent.
        options = replace(self.options, chat=None)
        self.lost = time.perf_counter() - self.submitted
        if self.deadline is not None:
            left = max(_NO_TIME, self.deadline - time.perf_counter())
            options = replace(options, timeout=left)
        return Submit(self.number, self.prompt, self.params, options)

    def take(self, chunk: Chunk) -> Chunk:
        """Note what the engine wrote, and give it as a chunk of this completion."""
        if chunk.token_ids and self.first_token is None:
            self.first_token = time.perf_counter()
        self.written += len(chunk.token_ids)
        self.begun = self.begun or bool(chunk.text or chunk.token_ids)
        stats = None if chunk.stats is None else self._from_submission(chunk.stats)
        if stats is None and self.index == 0:
            return chunk
        return replace(chunk, index=self.index, stats=stats)

    def last_chunk(self, reason: FinishReason, error: str | None = None) -> Chunk:
        """The chunk of a completion that no engine ends."""
        now = time.perf_counter()
        first = None if self.first_token is None else self.first_token - self.submitted
        total = now - self.submitted
        return Chunk(
            text="",
            token_ids=(),
            index=self.index,
            finish_reason=reason,
            error=error,
            usage=Usage(self.num_prompt, self.written),
            stats=RequestStats(
                queued=total if first is None else first,
                first_token=first,
                total=total,
                preemptions=0,
            ),
        )

    def _from_submission(self, stats: RequestStats) -> RequestStats:
        """Times of the engine, as they are since the user submitted."""
        first = None if stats.first_token is None else stats.first_token + self.lost
        return replace(
            stats,
            queued=stats.queued + self.lost,
            first_token=first,
            total=stats.total + self.lost,
        )
