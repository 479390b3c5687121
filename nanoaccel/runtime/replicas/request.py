"""A completion, as the user's process knows it while an engine in another one writes it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nanoaccel.runtime.engine.protocol import Sink
from nanoaccel.runtime.replicas.messages import Submit
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.types.outputs import Chunk, FinishReason, RequestStats, Usage
from nanoaccel.runtime.types.pooling import Pooling

# An engine ends a request that is late; it takes no time that is over.
_NO_TIME = 1e-6


def _nowhere(_: Chunk) -> None:
    """Receives the chunks of a request that is not queued yet."""


@dataclass(slots=True, eq=False)
class ReplicaRequest:
    """A completion that has not ended.

    Args:
        id: Number, unique and rising with arrival.
        index: Index of the completion among the ``n`` of its prompt.
        prompt: Tokens, i32.
        params: How to sample this completion alone, its seed settled: it can begin anew anywhere.
        options: How to treat it.
        pooling: How its prompt becomes an embedding; None makes none.
        deadline: When it is ended, seconds on ``time.perf_counter``; None never.
        cache_key: Seed of its blocks' keys; see ``Request``.
        sink: Receives its chunks.
        chain: Keys of the prompt's blocks, see ``router.prefix_chain``.
        submitted: When it was queued, on the same clock.
        engine_index: Index of its engine; None while it has none.
        running: Whether the engine works on it.
        announced: Whether its start was told.
        written: Tokens that it has.
        begun: Whether some of it was delivered, so that it cannot begin anew.
        first_token: When it had that, on the same clock.
        attempts: Engines that ended while they worked on it.
        cancelled: Whether the user wants no more of it.
        lost: Seconds from its submission until its engine was told of it.
    """

    id: int
    index: int
    prompt: bytes
    params: SamplingParams
    options: RequestOptions
    deadline: float | None
    pooling: Pooling | None = None
    cache_key: bytes = b""
    sink: Sink = _nowhere
    chain: Sequence[bytes] = ()
    submitted: float = 0.0
    engine_index: int | None = None
    running: bool = False
    announced: bool = False
    written: int = 0
    begun: bool = False
    first_token: float | None = None
    attempts: int = 0
    cancelled: bool = False
    lost: float = 0.0

    @classmethod
    def of(cls, request: Request) -> ReplicaRequest:
        """The completion that a request asks for; its engine cuts again what does not fit."""
        most = max(request.max_tokens, request.params.min_tokens)
        return cls(
            id=request.id,
            index=request.index,
            prompt=np.array(request.prompt_ids, np.int32).tobytes(),
            params=replace(
                request.params,
                n=1,
                seed=request.seed,
                max_tokens=most,
                prompt_logprobs=request.params.prompt_logprobs if request.index == 0 else None,
            ),
            options=request.options,
            deadline=request.deadline,
            pooling=None if request.pooler is None else request.pooler.pooling,
            cache_key=request.prefix_key,
        )

    @property
    def prompt_ids(self) -> list[int]:
        """Tokens of the prompt."""
        return [int(token) for token in np.frombuffer(self.prompt, np.int32)]

    @property
    def num_prompt(self) -> int:
        """Tokens of the prompt."""
        return len(self.prompt) // 4

    @property
    def limit(self) -> int:
        """Tokens that it may write."""
        assert self.params.max_tokens is not None
        return self.params.max_tokens

    def submit(self, sink: Sink, chain: Sequence[bytes]) -> None:
        """Note that it is queued now, and who receives its chunks."""
        self.sink, self.chain = sink, chain
        self.submitted = time.perf_counter()

    def message(self) -> Submit:
        """What an engine is told; the time that is left of its timeout counts from now."""
        # The prompt is made; what made it may be too large, or of a kind that cannot be sent.
        options = replace(self.options, chat=None)
        self.lost = time.perf_counter() - self.submitted
        if self.deadline is not None:
            left = max(_NO_TIME, self.deadline - time.perf_counter())
            options = replace(options, timeout=left)
        asked = self.params if self.pooling is None else self.pooling
        return Submit(self.id, self.prompt, asked, options)

    def take(self, chunk: Chunk) -> Chunk:
        """Note what the engine wrote, and give it as a chunk of this completion."""
        self.running = self.running or chunk.progress is None or chunk.progress.place == 0
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
