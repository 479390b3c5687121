"""Which requests run in a step, and how many tokens each brings: pure policy, no tensors."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nanoaccel.runtime.kv import PagedCache
from nanoaccel.runtime.request import Request


@dataclass(frozen=True, slots=True)
class ScheduledChunk:
    """The tokens ``start:end`` of a request, to be computed in this step."""

    request: Request
    start: int
    end: int

    @property
    def completes(self) -> bool:
        """Whether all known tokens are computed after it, so that a new one can be sampled."""
        return self.end == self.request.num_known


class Scheduler:
    """First come, first served, within a budget of tokens a step.

    Running requests go before waiting ones, single tokens before chunks of prompts. When the
    cache is full, the youngest running request gives up its blocks and waits at the head of the
    queue; its tokens are computed again later.

    Args:
        cache: Where the tokens of a step must find room.
        max_step_tokens: Tokens in a step at most; prompts are cut to it.
        max_running: Requests in a step at most.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        cache: PagedCache,
        *,
        max_step_tokens: int,
        max_running: int,
        clock: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._max_step_tokens = max_step_tokens
        self._max_running = max_running
        self._clock = clock
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []

    @property
    def num_waiting(self) -> int:
        """Requests that wait for a place."""
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        """Requests that hold cache."""
        return len(self._running)

    def requests(self) -> Iterator[Request]:
        """All requests, running ones first."""
        yield from self._running
        yield from self._waiting

    def add(self, request: Request) -> None:
        """Put a request at the end of the queue."""
        self._waiting.append(request)

    def remove(self, request: Request) -> None:
        """Take a request out, wherever it is, and free its blocks."""
        if request in self._running:
            self._running.remove(request)
        else:
            self._waiting.remove(request)
        self._cache.free(request.id)

    def schedule(self) -> list[ScheduledChunk]:
        """Choose the chunks of the next step; their room in the cache is allocated."""
        budget = self._max_step_tokens
        chunks: list[ScheduledChunk] = []
        by_size = sorted(self._running, key=lambda request: request.num_pending > 1)
        for request in by_size:
            count = min(request.num_pending, budget)
            if count == 0 or not self._make_room(request, request.num_computed + count, chunks):
                continue
            chunks.append(self._chunk(request, count))
            budget -= count
        preempted = len(self._running) < len(by_size)
        while budget > 0 and not preempted and self._can_admit():
            request = self._waiting.popleft()
            count = min(request.num_pending, budget)
            allocated = self._cache.allocate(request.id, count)
            assert allocated, "a request was admitted without room"
            self._running.append(request)
            request.start(self._clock())
            chunks.append(self._chunk(request, count))
            budget -= count
        return chunks

    def _can_admit(self) -> bool:
        """Whether the next request fits whole, with a block to spare for each running one."""
        if not self._waiting or len(self._running) >= self._max_running:
            return False
        growth = len(self._running)
        return (
            self._cache.blocks_for(self._waiting[0].num_known + 1) + growth <= self._cache.num_free
        )

    def _chunk(self, request: Request, count: int) -> ScheduledChunk:
        return ScheduledChunk(request, request.num_computed, request.num_computed + count)

    def _make_room(self, request: Request, length: int, chunks: list[ScheduledChunk]) -> bool:
        """Allocate, giving up younger requests; False when the request itself was given up."""
        if request not in self._running:
            return False
        while not self._cache.allocate(request.id, length):
            youngest = self._running[-1]
            self._preempt(youngest)
            chunks[:] = [chunk for chunk in chunks if chunk.request is not youngest]
            if youngest is request:
                return False
        return True

    def _preempt(self, request: Request) -> None:
        self._running.remove(request)
        self._cache.free(request.id)
        request.preempt()
        self._waiting.appendleft(request)
