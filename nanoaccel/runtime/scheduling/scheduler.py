"""Which requests run in a step, and how many tokens each brings: pure policy, no tensors."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from nanoaccel.errors import QueueFullError
from nanoaccel.runtime.adapters.pool import AdapterPool
from nanoaccel.runtime.kv import KVCache
from nanoaccel.runtime.scheduling.adapter_use import AdapterUse
from nanoaccel.runtime.scheduling.deadlines import Deadlines
from nanoaccel.runtime.scheduling.queue_limits import QueueLimits
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.scheduling.scheduled_tokens import ScheduledTokens
from nanoaccel.runtime.scheduling.shared_prefixes import gains_by_waiting
from nanoaccel.runtime.scheduling.token_budget import StepBudget


@dataclass(slots=True)
class _Step:
    """What is chosen so far, and how many tokens are left to choose."""

    left: int
    chunks: list[ScheduledTokens] = field(default_factory=list)
    given_up: list[Request] = field(default_factory=list)
    admits: bool = True

    def add(self, request: Request, count: int) -> None:
        start = request.num_computed
        self.chunks.append(ScheduledTokens.of(request, start, start + count))
        self.left -= count

    def give_up(self, request: Request) -> None:
        self.given_up.append(request)
        for index, chunk in enumerate(self.chunks):
            if chunk.request is request:
                self.left += chunk.end - chunk.start
                del self.chunks[index]
                return


class Scheduler:
    """Continuous batching (Yu et al. 2022, Orca), by priority, then first come, first served.

    In a step, running requests that decode bring their one token first, then those that also have
    tokens that a grammar forced upon them. What is left of the budget goes to running prompts and
    to waiting requests, by rank. A waiting request is admitted when the cache holds all its known
    tokens with a block to spare for each running one; while the first one waits, none behind it is
    admitted.

    When a running request needs room, the lowest in rank, the youngest of the lowest priority,
    gives up its blocks and goes back to its place in the queue. Its full blocks can be found
    again until others need them, so that little is computed twice. A waiting request may take
    the place of a running one only if that has a lower priority.

    A request that was computed as a short text, where the graph tells long ones from short ones,
    goes back to the queue once it is long, with its rank, and is computed anew as a long one.

    A request whose adapter is not loaded lets others pass until it is (``AdapterPool``).

    Args:
        cache: Where the tokens of a step must find room.
        budget: Gives the tokens that a step may have.
        max_running: Requests in a step at most.
        max_waiting: Requests that wait for their first step at most, but for those that are added
            even if the queue is full.
        clock: Gives the time in seconds.
        max_queued_tokens: Tokens of their prompts at most; see ``QueueLimits``.
        share_prefixes: Let a request wait while one of higher rank computes blocks that it can
            take from the cache a step later; of use when the cache shares blocks.
        adapters: Loads adapters; None where no request has one.

    Attributes:
        adapters: Adapters of its requests.
        num_preemptions: How often a request gave up its blocks to another, so far.
    """

    def __init__(
        self,
        cache: KVCache,
        *,
        budget: StepBudget,
        max_running: int,
        max_waiting: int,
        clock: Callable[[], float],
        max_queued_tokens: int | None = None,
        share_prefixes: bool = True,
        adapters: AdapterPool | None = None,
    ) -> None:
        self.adapters = AdapterUse(adapters)
        self._cache = cache
        self._budget = budget
        self._max_running = max_running
        self._limits = QueueLimits(max_waiting, max_queued_tokens)
        self._clock = clock
        self._share_prefixes = share_prefixes
        # Both in order of rank.
        self._waiting: list[Request] = []
        self._running: list[Request] = []
        self._deadlines = Deadlines()
        self._num_returned = 0
        self.num_preemptions = 0

    @property
    def num_waiting(self) -> int:
        """Requests that wait for a place."""
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        """Requests that hold cache."""
        return len(self._running)

    @property
    def num_refused(self) -> int:
        """Requests that found the queue full."""
        return self._limits.refused

    @property
    def room(self) -> int:
        """Requests that may still be added; those that gave up their blocks do not count."""
        return max(0, self._limits.max_waiting - len(self._waiting) + self._num_returned)

    def check_room(self, requests: Sequence[Request]) -> None:
        """Refuse the completions of a prompt if the queue has no room for all of them.

        Raises:
            QueueFullError: It has none.
        """
        self._limits.check(requests, [one for one in self._waiting if not one.has_returned])

    def waiting(self) -> Iterator[Request]:
        """Requests that wait, first to last."""
        return iter(self._waiting)

    @property
    def waiting_tokens(self) -> int:
        """Known tokens of the requests that wait."""
        return sum(request.num_known for request in self._waiting)

    @property
    def can_step(self) -> bool:
        """Whether there is anything to do but to wait for requests, or for an adapter."""
        busy = self._running or self.adapters.has_work
        return bool(busy) or self.adapters.could_start(self._waiting)

    def requests(self) -> Iterator[Request]:
        """All requests, running ones first."""
        yield from self._running
        yield from self._waiting

    def add(self, request: Request, *, even_if_full: bool = False) -> None:
        """Put a request, whose tokens must fit the cache, at its place in the queue.

        Raises:
            QueueFullError: ``max_waiting`` wait already.
        """
        if self.room == 0 and not even_if_full:
            raise QueueFullError(
                f"max_waiting={self._limits.max_waiting} requests wait already",
                "Try again later, or raise it",
            )
        insort(self._waiting, request, key=_rank)
        self._deadlines.add(request)

    def remove(self, request: Request) -> None:
        """Take a request out, wherever it is, and free its blocks."""
        if _take_out(self._running, request):
            self.adapters.end(request)
        else:
            found = _take_out(self._waiting, request)
            assert found, "the request has ended"
            self._num_returned -= request.has_returned
        self._deadlines.discard(request)
        self._cache.free(request.id)

    def expire(self) -> list[Request]:
        """Take out the requests whose deadline has come, earliest first."""
        due = self._deadlines.due(self._clock())
        for request in due:
            self.remove(request)
        return due

    def settle_adapters(self) -> list[tuple[Request, Exception]]:
        """Take out the requests whose adapter could not be loaded, each with the reason."""
        failed = self.adapters.settle(self._waiting)
        for request, _ in failed:
            self.remove(request)
        return failed

    def schedule(self) -> list[ScheduledTokens]:
        """Choose the chunks of the next step; their room in the cache is allocated."""
        for request in [one for one in self._running if one.rotation.is_outgrown(one.num_known)]:
            self._put_back(request)
        prompts = [request for request in self._running if not request.decodes]
        decodes = [request for request in self._running if request.decodes]
        decodes.sort(key=lambda request: request.num_pending > 1)
        step = _Step(self._step_tokens(decodes, prompts))
        for request in decodes:
            self._advance(request, step)
        for request in prompts:
            self._admit(step, above=request.priority)
            self._advance(request, step)
        self._admit(step, above=None)
        return step.chunks

    def check_integrity(self) -> None:
        """Assert that adapters and the requests that run agree."""
        self.adapters.check_integrity(self._running)

    def _step_tokens(self, decodes: list[Request], prompts: list[Request]) -> int:
        """Tokens for a step, by what decodes and what waits."""
        waiting = prompts + self._waiting[: self._max_running - len(self._running)]
        begun = [request.first_token for request in decodes if request.first_token is not None]
        first = min(begun, default=math.inf)
        together = any(request.submitted < first for request in waiting)
        tokens = sum(request.num_pending for request in decodes)
        return self._budget.tokens(tokens, len(waiting), together=together)

    def _advance(self, request: Request, step: _Step) -> None:
        """Add a chunk of a running request, for which lower ones may lose theirs."""
        if step.left == 0 or request in step.given_up:
            return
        count = min(request.num_pending, step.left)
        limit = request.chunk_limit
        if limit is not None:
            assert limit > 0, "tokens must be dropped from the cache first"
            count = min(count, limit)
        while not self._cache.allocate(request.id, request.num_cached + count):
            lowest = self._running[-1]
            self._preempt(lowest, step)
            if lowest is request:
                return
        step.add(request, count)

    def _admit(self, step: _Step, above: int | None) -> None:
        """Admit waiting requests whose priority is ``above`` another, while they find room."""
        while step.admits and step.left > 0:
            request = self.adapters.first_ready(self._waiting)
            if request is None or (above is not None and request.priority <= above):
                return
            step.admits = not self._gains_by_waiting(request, step) and self._start(request, step)
            if step.admits:
                self._advance(request, step)

    def _start(self, request: Request, step: _Step) -> bool:
        """Move a waiting request to the running ones; False when there is no place for it."""
        cached = self._find_place(request)
        while cached is None:
            if not self._outranks_enough(request):
                assert self._running, "a request does not fit the empty cache"
                return False
            self._preempt(self._running[-1], step)
            cached = self._find_place(request)
        self._num_returned -= request.has_returned
        _take_out(self._waiting, request)
        insort(self._running, request, key=_rank)
        self.adapters.begin(request)
        request.start(self._clock(), cached)
        return True

    def _find_place(self, request: Request) -> int | None:
        """Own what is cached of a request: its tokens, or None when there is no place for it."""
        if len(self._running) >= self._max_running:
            return None
        tokens = request.tokens(0, request.num_known)
        return self._cache.admit(
            request.id,
            tokens,
            len(self._running),
            need=self._blocks_needed(request),
            most=request.cached_limit,
            key=request.prefix_key,
        )

    def _outranks_enough(self, request: Request) -> bool:
        """Whether it finds a place once all running requests of lower priority gave up theirs."""
        lower = [other for other in self._running if other.priority < request.priority]
        if not lower:
            return False
        held = sum(self._cache.blocks_for(other.num_cached) for other in lower)
        needed = self._blocks_needed(request) + len(self._running) - len(lower)
        return needed <= self._cache.num_free + held

    def _blocks_needed(self, request: Request) -> int:
        """Blocks for all known tokens and the next one, as far as it may hold them."""
        blocks = self._cache.blocks_for(request.num_known + 1)
        if request.eviction is None:
            return blocks
        return min(blocks, self._cache.blocks_for(request.eviction.max_tokens))

    def _gains_by_waiting(self, request: Request, step: _Step) -> bool:
        """Whether it takes more from the cache in the next step, by what this one computes."""
        if not self._share_prefixes:
            return False
        most = min(request.num_known, self._blocks_needed(request) * self._cache.block_size) - 1
        if request.cached_limit is not None:
            most = min(most, request.cached_limit)
        return gains_by_waiting(request, step.chunks, self._cache, most)

    def _preempt(self, request: Request, step: _Step) -> None:
        step.give_up(request)
        self._put_back(request)
        request.num_preemptions += 1
        self.num_preemptions += 1

    def _put_back(self, request: Request) -> None:
        """Let a running request wait for a place to be computed anew."""
        _take_out(self._running, request)
        self.adapters.end(request)
        self._cache.free(request.id)
        request.begin_again()
        insort(self._waiting, request, key=_rank)
        self._num_returned += 1


def _rank(request: Request) -> tuple[int, int]:
    """Sorts higher priorities, then older requests, first."""
    return -request.priority, request.id


def _take_out(queue: list[Request], request: Request) -> bool:
    """Remove a request from a queue in order of rank; False when it is not there."""
    index = bisect_left(queue, _rank(request), key=_rank)
    found = index < len(queue) and queue[index] is request
    if found:
        del queue[index]
    return found
