"""A scheduler with its cache and requests, driven step by step without engine and backend.

In place of a model stands a chain of hashes: what a token leaves in the cache depends on all that
is cached before it, read through the block table, and the next token depends on that. So a text
changes when a block is wrong, and when other tokens than usual were dropped before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np

from nanoaccel.runtime.execution.online_curve import OnlineCurve
from nanoaccel.runtime.kv import PagedCache
from nanoaccel.runtime.kv.token_eviction import CacheEviction, blocks_to_drop
from nanoaccel.runtime.sampling import Sampled, SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.scheduling.scheduled_tokens import ScheduledTokens
from nanoaccel.runtime.scheduling.scheduler import Scheduler
from nanoaccel.runtime.scheduling.token_budget import StepBudget
from nanoaccel.runtime.types.outputs import FinishReason
from nanoaccel.runtime.types.plan import Float32Array, Int64Array
from nanoaccel.text import Tokenizer

_MASK = (1 << 31) - 1


def text_alone(
    prompt: Sequence[int], count: int, eviction: CacheEviction | None, block_size: int, vocab: int
) -> list[int]:
    """What a request generates token by token, with nothing shared, cut or given up."""
    tokens = list(prompt)
    states: list[int] = []
    scores = np.zeros(0, np.float32)
    for place in range(len(prompt) + count - 1):
        states.append(hash((_fold(states), tokens[place])) & _MASK)
        if place + 1 >= len(prompt):
            tokens.append(_fold(states) % vocab)
        if eviction is not None:
            paid = np.array([(state ^ states[-1]) & 7 for state in states], np.float32)
            scores = np.append(scores, np.float32(0)) + paid
            if len(states) == eviction.max_tokens:
                blocks = scores.reshape(-1, block_size).sum(axis=1)
                for gone in reversed(blocks_to_drop(eviction, len(blocks), block_size, blocks)):
                    del states[gone * block_size : (gone + 1) * block_size]
                    scores = np.delete(scores, slice(gone * block_size, (gone + 1) * block_size))
    return tokens[len(prompt) :]


def _fold(states: Sequence[int]) -> int:
    history = 0
    for state in states:
        history = hash((history, state)) & _MASK
    return history


class Simulation:
    """Time stands still but for the passes, which take 8 ms and 0.6 ms a token.

    After each step it asserts what must hold whatever the workload.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        num_blocks: int = 64,
        block_size: int = 4,
        max_step_tokens: int = 32,
        max_running: int = 8,
        max_waiting: int = 1000,
        target: float | None = None,
        sharing: bool = True,
        copies: bool = False,
    ) -> None:
        self.tokenizer = tokenizer
        self.time = 0.0
        self.cost = OnlineCurve()
        self.budget = StepBudget(self.cost, max_tokens=max_step_tokens, target=target)
        self.cache = PagedCache(
            num_blocks, block_size, sharing=sharing, copy=self._copy if copies else None
        )
        self.max_running = max_running
        self.scheduler = Scheduler(
            self.cache,
            budget=self.budget,
            max_running=max_running,
            max_waiting=max_waiting,
            clock=lambda: self.time,
            share_prefixes=sharing,
        )
        self.steps = 0
        self.ended: dict[int, FinishReason] = {}
        self.first_admitted: list[Request] = []
        self.num_computed = 0
        self._admitted: set[int] = set()
        self._memory = np.zeros((num_blocks, block_size), np.int64)
        self._out = np.zeros(num_blocks, np.int32)
        self._scores: dict[int, Float32Array] = {}
        self._ids = count()

    @property
    def has_work(self) -> bool:
        return self.scheduler.num_running + self.scheduler.num_waiting > 0

    def submit(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int = 8,
        priority: int = 0,
        timeout: float | None = None,
        eviction: CacheEviction | None = None,
    ) -> Request:
        in_blocks = None if eviction is None else eviction.in_blocks(self.cache.block_size)
        request = Request(
            next(self._ids),
            prompt,
            SamplingParams(max_tokens=max_tokens, ignore_eos=True),
            max_tokens=max_tokens,
            tokenizer=self.tokenizer,
            vocab_size=self.tokenizer.vocab_size,
            seed=0,
            index=0,
            options=RequestOptions(priority=priority),
            deadline=None if timeout is None else self.time + timeout,
            eviction=in_blocks,
        )
        request.submit(self.time)
        self.scheduler.add(request)
        return request

    def cancel(self, request: Request) -> None:
        if request.finish_reason is None:
            self.scheduler.remove(request)
            self._end(request, "cancelled")

    def plan(self) -> list[tuple[int, int, int]]:
        """Run a step and tell its chunks: (request, start, end)."""
        return [(chunk.request.id, chunk.start, chunk.end) for chunk in self.step()]

    def step(self) -> list[ScheduledTokens]:
        for request in self.scheduler.expire():
            assert request.deadline is not None
            assert request.deadline <= self.time
            self._end(request, "timeout")
        running = list(self.scheduler.requests())[: self.scheduler.num_running]
        decodes = [request for request in running if request.num_pending == 1]
        before = {request: request.num_preemptions for request in self.scheduler.requests()}
        allowed = self.scheduler._step_tokens(
            decodes, [request for request in running if request.num_pending > 1]
        )
        chunks = self.scheduler.schedule()
        tokens = sum(chunk.end - chunk.start for chunk in chunks)
        assert tokens <= allowed
        assert all(c.request.num_preemptions == before[c.request] for c in chunks), "in and out"
        kept = [request for request in decodes if request.num_preemptions == before[request]]
        first = [chunk.request for chunk in chunks[: len(kept)]]
        assert len(kept) > allowed or first == kept, "decodes come first"
        self._check(chunks)
        if chunks:
            self._pass(chunks, tokens)
        else:
            assert not self.has_work, "nothing goes on"
        self.cache.check_integrity()
        self.steps += 1
        return chunks

    def run(self, most: int = 10_000) -> None:
        while self.has_work:
            self.step()
            most -= 1
            assert most > 0, "it never ends"
        assert self.cache.num_free == self.cache.num_blocks

    def generated(self, request: Request) -> list[int]:
        return request.tokens(request.num_prompt, request.num_known).tolist()

    def _copy(self, source: int, target: int) -> None:
        self._memory[target] = self._memory[source]

    def _check(self, chunks: list[ScheduledTokens]) -> None:
        requests = list(self.scheduler.requests())
        running = requests[: self.scheduler.num_running]
        waiting = requests[self.scheduler.num_running :]
        assert len(running) <= self.max_running
        assert len({chunk.request.id for chunk in chunks}) == len(chunks)
        for chunk in chunks:
            request = chunk.request
            assert request in running
            assert chunk.start == request.num_computed
            assert chunk.start < chunk.end <= request.num_known
            assert request.chunk_limit is None or chunk.end - chunk.start <= request.chunk_limit
            if request.id not in self._admitted:
                self._admitted.add(request.id)
                self.first_admitted.append(request)
        for priority in {request.priority for request in waiting}:
            youngest = [r.id for r in running if r.priority == priority][-1:]
            oldest = [r.id for r in waiting if r.priority == priority][:1]
            assert youngest < oldest, "a request overtook another"

    def _pass(self, chunks: list[ScheduledTokens], tokens: int) -> None:
        nexts = [self._forward(chunk) for chunk in chunks]
        seconds = 0.008 + 0.0006 * tokens
        self.time += seconds
        self.cost.observe(tokens, seconds)
        self.num_computed += tokens
        for chunk, token in zip(chunks, nexts, strict=True):
            request = chunk.request
            request.num_computed = chunk.end
            self.cache.commit(request.id, request.tokens(0, chunk.end))
            if request.chunk_limit == 0:
                self._drop(request)
            if chunk.completes:
                request.append(Sampled(token), self.time)
                if request.finish_reason is not None:
                    self.scheduler.remove(request)
                    self._note_end(request)

    def _forward(self, chunk: ScheduledTokens) -> int:
        request = chunk.request
        past = chunk.start - request.num_evicted
        total = chunk.end - request.num_evicted
        used = self.cache.block_ids(request.id, total, self._out)
        blocks = self._out[:used]
        states = self._memory[blocks].ravel()
        history = _fold(states[:past].tolist())
        for place, token in enumerate(request.tokens(chunk.start, chunk.end).tolist(), past):
            state = hash((history, token)) & _MASK
            states[place] = state
            history = hash((history, state)) & _MASK
        self._memory[blocks] = states.reshape(used, -1)
        if request.eviction is not None and request.eviction.by == "score":
            self._score(request.id, states, past, total)
        return history % self.tokenizer.vocab_size

    def _score(self, sequence: int, states: Int64Array, past: int, total: int) -> None:
        """Each new token pays some attention, 0 to 7, to each that it sees."""
        sums = np.zeros(len(states), np.int64)
        for place in range(past, total):
            sums[: place + 1] += (states[: place + 1] ^ states[place]) & 7
        scores = sums.reshape(-1, self.cache.block_size).sum(axis=1).astype(np.float32)
        before = np.empty(0, np.float32) if past == 0 else self._scores[sequence]
        scores[: len(before)] += before
        self._scores[sequence] = scores

    def _drop(self, request: Request) -> None:
        assert request.eviction is not None
        size = self.cache.block_size
        scores = self._scores.get(request.id)
        places = blocks_to_drop(request.eviction, request.num_cached // size, size, scores)
        self.cache.drop(request.id, places)
        if scores is not None:
            self._scores[request.id] = np.delete(scores, places)
        request.num_evicted += len(places) * size
        assert request.chunk_limit is not None
        assert request.chunk_limit > 0

    def _end(self, request: Request, reason: FinishReason) -> None:
        request.finish(reason, self.time)
        self._note_end(request)

    def _note_end(self, request: Request) -> None:
        assert request.id not in self.ended, "a request ended twice"
        assert request.finish_reason is not None
        self.ended[request.id] = request.finish_reason
