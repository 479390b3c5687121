"""One step: schedule -> forward -> sample -> commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nanoaccel.errors import NanoAccelError
from nanoaccel.runtime.backends import Backend
from nanoaccel.runtime.kv import PagedCache
from nanoaccel.runtime.output import Chunk
from nanoaccel.runtime.plan import StepPlan, StepResult
from nanoaccel.runtime.request import Request
from nanoaccel.runtime.scheduler import ScheduledChunk, Scheduler


@dataclass(frozen=True, slots=True)
class Delivery:
    """A chunk for a request."""

    request: Request
    chunk: Chunk


class Engine:
    """Brings all requests a step closer to their end, together.

    It knows no threads, no files and no user: whoever owns it calls ``step`` while it has work,
    and hands the deliveries on.

    Args:
        backend: Runs the graph; its cache is allocated here.
        num_blocks: Size of the cache.
        max_step_tokens: Tokens in a step at most.
        max_running: Requests in a step at most.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        num_blocks: int,
        max_step_tokens: int,
        max_running: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._backend = backend
        self._clock = clock
        backend.allocate_cache(num_blocks)
        self._cache = PagedCache(num_blocks, backend.info.block_size)
        self.scheduler = Scheduler(
            self._cache, max_step_tokens=max_step_tokens, max_running=max_running, clock=clock
        )

    @property
    def has_work(self) -> bool:
        """Whether any request has not ended."""
        return self.scheduler.num_running + self.scheduler.num_waiting > 0

    @property
    def cache_tokens(self) -> int:
        """Tokens that fit in the cache: the longest request that can run."""
        return self._cache.capacity

    def add(self, request: Request) -> None:
        """Queue a request that fits the cache."""
        assert request.num_prompt < self.cache_tokens, "the caller refuses what cannot fit"
        request.submit(self._clock())
        self.scheduler.add(request)

    def cancel(self, request: Request) -> Chunk | None:
        """End a request at once; None when it had ended already."""
        if request.finish_reason is not None:
            return None
        self.scheduler.remove(request)
        return request.finish("cancelled", self._clock())

    def step(self) -> list[Delivery]:
        """Run one step.

        A request whose own processing fails ends with finish_reason "error"; the others go on.
        When the backend itself fails, all requests of the step end that way.
        """
        chunks = self.scheduler.schedule()
        if not chunks:
            return []
        try:
            result = self._backend.forward(assemble(chunks, self._cache))
        except Exception as error:
            return [self._fail(chunk.request, error) for chunk in chunks]
        return self._commit(chunks, result)

    def check_integrity(self) -> None:
        """Assert that no cache block is lost or owned twice."""
        self._cache.check_integrity()

    def _commit(self, chunks: list[ScheduledChunk], result: StepResult) -> list[Delivery]:
        now = self._clock()
        deliveries: list[Delivery] = []
        row = 0
        for chunk in chunks:
            request = chunk.request
            request.num_computed = chunk.end
            if not chunk.completes:
                continue
            try:
                delivered = request.append(request.sample(result.logits[row]), now)
            except Exception as error:
                deliveries.append(self._fail(request, error))
            else:
                if request.finish_reason is not None:
                    self.scheduler.remove(request)
                deliveries.append(Delivery(request, delivered))
            row += 1
        return deliveries

    def _fail(self, request: Request, error: Exception) -> Delivery:
        known = isinstance(error, NanoAccelError)
        message = str(error) if known else f"{type(error).__name__}: {error}"
        self.scheduler.remove(request)
        return Delivery(request, request.finish("error", self._clock(), error=message))


def assemble(chunks: Sequence[ScheduledChunk], cache: PagedCache) -> StepPlan:
    """Pack chunks, in order, into one ragged batch; a row of logits for each that completes."""
    ends = np.cumsum([chunk.end - chunk.start for chunk in chunks])
    blocks = [cache.block_ids(chunk.request.id, chunk.end) for chunk in chunks]
    return StepPlan(
        token_ids=np.concatenate([c.request.tokens(c.start, c.end) for c in chunks]),
        positions=np.concatenate([np.arange(c.start, c.end, dtype=np.int64) for c in chunks]),
        seq_begins=_begins(ends),
        past_lens=np.array([chunk.start for chunk in chunks], np.int32),
        block_ids=np.concatenate(blocks),
        block_begins=_begins(np.cumsum([len(ids) for ids in blocks])),
        logits_rows=np.array(
            [end - 1 for end, chunk in zip(ends, chunks, strict=True) if chunk.completes], np.int64
        ),
    )


def _begins(
    ends: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    begins = np.zeros(len(ends) + 1, np.int32)
    begins[1:] = ends
    return begins
