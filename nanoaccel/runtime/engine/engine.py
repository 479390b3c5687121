"""One step: schedule -> propose -> forward -> verify -> commit, for all requests together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest

from nanoaccel.runtime.engine.batch_builder import BatchBuilder
from nanoaccel.runtime.engine.isolation import in_words, isolate, without_drafts
from nanoaccel.runtime.engine.metrics import Counters, Recorder
from nanoaccel.runtime.engine.phases import StepObserver, Unobserved
from nanoaccel.runtime.engine.progress import ProgressTeller
from nanoaccel.runtime.engine.prompt_reading import read_prompts
from nanoaccel.runtime.engine.token_evictor import TokenEvictor
from nanoaccel.runtime.execution.runner import ModelRunner
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.scheduling.scheduled_tokens import ScheduledTokens
from nanoaccel.runtime.scheduling.scheduler import Scheduler
from nanoaccel.runtime.speculation import Speculator, StepSavings
from nanoaccel.runtime.types.events import Event, EventListener
from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.runtime.types.plan import Float32Array, StepResult


class Engine:
    """Brings all requests a step closer to their end.

    One thread calls ``step`` while there is work; ``add``, ``cancel`` and ``counters`` may be
    called from any other, and wait for no pass through the graph: the lock is open meanwhile.

    Args:
        runner: The graph with its cache.
        scheduler: Chooses what runs, on that cache.
        speculator: Proposes draft tokens that are verified in the same pass.
        emit: Receives all events, in order, with the lock held.
        clock: Gives the time in seconds.

    Attributes:
        lock: Guards everything here and below.
        runner: As given.
        scheduler: As given.
        observer: Watches the phases of steps; may be replaced at any time.
        recorder: Counts what happens.
    """

    def __init__(
        self,
        runner: ModelRunner,
        scheduler: Scheduler,
        speculator: Speculator,
        *,
        emit: EventListener,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.lock = threading.RLock()
        self.runner = runner
        self.observer: StepObserver = Unobserved()
        self.scheduler = scheduler
        self._speculator = speculator
        self._emit = emit
        self._progress = ProgressTeller(emit)
        self._clock = clock
        self._step_begun = clock()
        self._buffers = BatchBuilder()
        self._evictor = TokenEvictor(self.runner.cache.block_size)
        self.recorder = Recorder()

    @property
    def has_work(self) -> bool:
        """Whether any request has not ended."""
        return self.scheduler.num_running + self.scheduler.num_waiting > 0

    @property
    def can_step(self) -> bool:
        """Whether a step would do anything: not while all wait for their adapters to be loaded."""
        return self.scheduler.can_step

    def warm_up(self) -> None:
        """Prepare for the first request, unless it is there already."""
        if not self.has_work:
            self.runner.warm_up()

    def add(self, requests: Sequence[Request], *, even_if_full: bool = False) -> None:
        """Queue requests that fit the cache, all or none.

        Args:
            requests: New ones.
            even_if_full: Whether they may make the queue longer than it should be.

        Raises:
            QueueFullError: The queue has no room for all of them.
        """
        with self.lock:
            if not even_if_full:
                self.scheduler.check_room(requests)
            now = self._clock()
            for request in requests:
                request.submit(now)
                self.scheduler.add(request, even_if_full=even_if_full)
                self._progress.add(request)
            self.recorder.submitted += len(requests)

    def cancel(self, request: Request) -> None:
        """End a request at once; one that has ended is left alone."""
        with self.lock:
            if request.finish_reason is None:
                self.scheduler.remove(request)
                self._end(request, request.finish("cancelled", self._clock()))

    def cancel_all(self) -> None:
        """End every request at once."""
        with self.lock:
            for request in list(self.scheduler.requests()):
                self.cancel(request)

    def give_up(self, requests: Sequence[Request], error: BaseException) -> None:
        """End requests with finish_reason "error" after a bug broke the queue that holds them."""
        with self.lock:
            for request in requests:
                self._end(request, self._failure(request, error))

    def step(self) -> None:
        """Run one step.

        A request whose own processing fails ends with finish_reason "error"; the others go on.
        When the backend fails, the pass is run again in halves until it fails for one alone.
        """
        observer = self.observer
        observer.begin_step()
        self._step_begun = self._clock()
        try:
            observer.begin("schedule")
            with self.lock:
                chunks = self._schedule()
            observer.begin("draft")
            chunks = self._speculator.extend(chunks, self._has_room)
            if (error := self._pass(chunks)) is not None:
                with self.lock:
                    live = without_drafts(chunks, self.runner.cache)
                isolate(live, error, partial(self._pass, again=True), self._fail)
        finally:
            observer.end_step()

    def _pass(self, chunks: Sequence[ScheduledTokens], again: bool = False) -> Exception | None:
        """Run chunks through the graph and take what it gives; what it failed with, or None."""
        observer = self.observer
        observer.begin("other")
        with self.lock:
            chunks = [chunk for chunk in chunks if chunk.request.finish_reason is None]
            if not chunks:
                return None
            drafted = sum(len(chunk.drafts) for chunk in chunks)
            tokens = sum(chunk.last - chunk.start for chunk in chunks)
            pad_to = self._speculator.pass_size(tokens) if drafted > 0 else 0
            plan = self._buffers.assemble(chunks, self.runner.cache, pad_to)
        observer.planned(plan)
        observer.begin("forward")
        begun = self._clock()
        try:
            result = self.runner.backend.forward(plan)
        except Exception as error:
            return error
        now = self._clock()
        observer.begin("other")
        reading = read_prompts(chunks, result, self._fail)
        with self.lock:
            if not reading:  # that costs more than what most passes do
                self.runner.times.step.observe(len(plan.token_ids), now - begun)
            self.recorder.step(len(plan.token_ids))
            typical = not again and not reading  # a part of a step says nothing of what one costs
            so_far = now - self._step_begun
            savings = self._speculator.savings(drafted, so_far) if typical else StepSavings()
            given = self._commit(chunks, result, now, savings)
        observer.begin("draft")
        self._show(chunks, result)
        if typical:
            self._speculator.settle(drafted, given, so_far)
        return None

    def counters(self) -> Counters:
        """How the engine does."""
        with self.lock:
            return self.recorder.snapshot(
                refused=self.scheduler.num_refused,
                waiting=self.scheduler.num_waiting,
                running=self.scheduler.num_running,
                waiting_tokens=self.scheduler.waiting_tokens,
                preemptions=self.scheduler.num_preemptions,
                cache=self.runner.cache,
                cache_bytes=self.runner.cache_bytes,
                speculation=self._speculator.counters(),
                adapters=self.scheduler.adapters.counters(),
            )

    def check_integrity(self) -> None:
        """Assert that no cache block, and no slot of an adapter, is lost or owned twice."""
        self.runner.cache.check_integrity()
        self.scheduler.check_integrity()

    def _schedule(self) -> list[ScheduledTokens]:
        for request in self.scheduler.expire():
            self._end(request, request.finish("timeout", self._clock()))
        for request, error in self.scheduler.settle_adapters():
            self._end(request, self._failure(request, error))
        chunks = self.scheduler.schedule()
        now, waiting = self._clock(), self.scheduler.num_waiting
        for chunk in chunks:
            if chunk.request.announce():
                self._emit(Event("started", chunk.request.id))
                self._progress.tell(chunk.request, now, waiting)
        self._progress.tell_places(self.scheduler.waiting(), now, waiting)
        return chunks

    def _has_room(self, request: Request, length: int, drafts: int) -> bool:
        """Whether the cache has room for a request's first so many tokens, the last ones drafts."""
        with self.lock:
            live = request.finish_reason is None
            return live and self.runner.cache.allocate(request.id, length, drafts)

    def _show(self, chunks: list[ScheduledTokens], result: StepResult) -> None:
        """Let drafters see what was computed for tokens that are part of a text."""
        if result.hidden is None:
            return
        row = 0
        for chunk in chunks:
            request = chunk.request
            if request.finish_reason is None:
                count = request.num_computed - chunk.start
                self._speculator.observe(request, chunk.start, result.hidden[row : row + count])
            row += chunk.last - chunk.start

    def _commit(
        self, chunks: list[ScheduledTokens], result: StepResult, now: float, savings: StepSavings
    ) -> int:
        """Take what was computed; the number of tokens that requests got."""
        row = seen = given = 0
        for chunk in chunks:
            request, rows = chunk.request, chunk.num_rows
            cached = chunk.last - request.num_evicted
            scores = None if result.scores is None else result.scores[seen : seen + cached]
            seen += cached
            logits = result.logits[row + chunk.scored : row + rows]
            likeliest = result.likeliest_of(row + chunk.scored, row + rows)
            row += rows
            if request.finish_reason is not None:  # cancelled during the pass
                continue
            request.num_computed = chunk.end
            self._progress.tell(request, now, self.scheduler.num_waiting)
            written = self.verify(chunk, logits, likeliest, now, savings) if chunk.samples else []
            if chunk.completes and not chunk.samples:
                written.append(request.finish("length", now))
            tokens = request.tokens(0, request.num_computed)
            request.go_on_from(self.runner.cache.commit(request.id, tokens))
            if chunk.drafts:
                self.runner.cache.trim(request.id, request.num_cached)
            if request.eviction is not None and request.finish_reason is None:
                self._evictor.evict(request, self.runner.cache, scores, restarted=chunk.start == 0)
            given += sum(len(piece.token_ids) for piece in written)
            if written and request.finish_reason is None:
                self._append_forced(request, now, written)
            self._deliver(request, written, now)
        return given

    def verify(
        self,
        chunk: ScheduledTokens,
        logits: Float32Array,
        likeliest: Sequence[int],
        now: float,
        savings: StepSavings,
    ) -> list[Chunk]:
        """Sample behind the last token, and on as long as that gives the next draft token."""
        request, begin = chunk.request, self.observer.begin
        written: list[Chunk] = []
        tokens: list[int] = []
        try:
            for row, best, draft in zip_longest(logits, likeliest, chunk.drafts):
                begin("sample")
                sampled = request.sample(row, best)
                begin("verify")
                accepted = sampled.token_id == draft
                if not tokens:
                    request.note_step(len(chunk.drafts), savings.token - len(logits) * savings.row)
                if accepted:
                    request.note_accepted(savings.token)
                tokens.append(sampled.token_id)
                begin("detokenize")
                written.append(request.append(sampled, now))
                if request.finish_reason is not None or not accepted:
                    break
                request.num_computed += 1
        except Exception as error:
            written.append(self._failure(request, error))
        begin("draft")
        self._speculator.learn(chunk, tokens)
        begin("other")
        return written

    def _append_forced(self, request: Request, now: float, written: list[Chunk]) -> None:
        """Add what a grammar lets follow alone; the next step computes it with the token before."""
        try:
            written.extend(request.append_forced(now))
        except Exception as error:
            written.append(self._failure(request, error))

    def _deliver(self, request: Request, written: Sequence[Chunk], now: float) -> None:
        """Send what a request got in this step."""
        tokens = sum(len(chunk.token_ids) for chunk in written)
        self.recorder.tokens(request.id, request.submitted, now, tokens)
        for chunk in written:
            if chunk.finish_reason is None:
                self._emit(Event.of(request.id, chunk))
            else:
                self.scheduler.remove(request)
                self._end(request, chunk)

    def _fail(self, chunk: ScheduledTokens, error: Exception) -> None:
        with self.lock:
            if chunk.request.finish_reason is None:
                self.scheduler.remove(chunk.request)
                self._end(chunk.request, self._failure(chunk.request, error))

    def _failure(self, request: Request, error: BaseException) -> Chunk:
        return request.finish("error", self._clock(), error=in_words(error))

    def _end(self, request: Request, chunk: Chunk) -> None:
        assert chunk.finish_reason is not None
        self._evictor.forget(request.id)
        self._progress.forget(request)
        self._speculator.finish(request)
        self.recorder.finish(request.id, chunk.finish_reason)
        self._emit(Event.of(request.id, chunk))
