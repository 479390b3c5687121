"""How the engine does, in numbers: recorded as it runs, read as one snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nanoaccel.runtime.adapters.pool import AdapterCounters
from nanoaccel.runtime.kv import KVCache
from nanoaccel.runtime.speculation import SpeculationCounters
from nanoaccel.runtime.types.outputs import FinishReason

_WINDOW = 1024


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds, of all requests so far and of the latest 1,024 values.

    Args:
        count: Values so far.
        total: Their sum, seconds.
        p50: Median of the latest; 0 when there are none.
        p95: 95th percentile of the latest.
        p99: 99th percentile of the latest.
    """

    count: int
    total: float
    p50: float
    p95: float
    p99: float

    @property
    def mean(self) -> float:
        """Mean of all values so far, seconds; 0 when there are none."""
        return self.total / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """A snapshot of the engine. All but the first ten numbers only ever rise.

    Args:
        waiting: Requests in the queue.
        running: Requests that hold cache.
        waiting_tokens: Known tokens of the requests in the queue.
        cache_blocks: Blocks of the cache.
        owned_blocks: Those that running requests hold.
        cached_blocks: Those that nobody holds but whose content can be found again.
        cache_states: Recurrent states of the cache; 0 of a model without.
        owned_states: Those that running requests hold.
        cached_states: Those that can be found again.
        cache_bytes: Memory of all blocks and states.
        submitted: Requests that were taken into the queue.
        refused: Requests that found the queue full.
        finished: Requests that ended, by finish reason; 0 for one that did not occur.
        preemptions: How often a request gave up its cache to another.
        steps: Passes through the graph.
        computed_tokens: Tokens that went through it; those of prompts and generated ones.
        generated_tokens: Tokens that were sampled.
        queried_tokens: Known tokens of all requests as they were admitted.
        hit_tokens: Those that were found in the cache and not computed.
        restored_tokens: Those of the hits that came from disk.
        evictions: Cached blocks whose content was dropped to make room.
        saved_blocks: Blocks that were handed to the disk tier.
        callback_errors: How often ``on_event`` raised.
        first_token: Times from submission to the first token.
        per_token: Times between two tokens of a request; those of one step share its time.
        speculation: What speculation has brought.
        adapters: How adapters are loaded.

    Examples:
        >>> from nanoaccel import LLM, SamplingParams
        >>> with LLM("bundle") as llm:
        ...     output = llm.generate(["The sea", "The sky"], SamplingParams(max_tokens=4))
        ...     counters = llm.counters()
        >>> counters.submitted, sum(counters.finished.values()), 0 <= counters.hit_rate <= 1
        (2, 2, True)
    """

    waiting: int
    running: int
    waiting_tokens: int
    cache_blocks: int
    owned_blocks: int
    cached_blocks: int
    cache_states: int
    owned_states: int
    cached_states: int
    cache_bytes: int
    submitted: int
    refused: int
    finished: Mapping[FinishReason, int]
    preemptions: int
    steps: int
    computed_tokens: int
    generated_tokens: int
    queried_tokens: int
    hit_tokens: int
    restored_tokens: int
    evictions: int
    saved_blocks: int
    callback_errors: int
    first_token: Durations
    per_token: Durations
    speculation: SpeculationCounters
    adapters: AdapterCounters = field(default_factory=AdapterCounters)

    @property
    def hit_rate(self) -> float:
        """Share of the admitted tokens that were not computed; 0 before the first."""
        return self.hit_tokens / self.queried_tokens if self.queried_tokens else 0.0


class DurationWindow:
    """Collects seconds; keeps the latest 1,024 and the sum of all."""

    def __init__(self) -> None:
        self._latest = np.zeros(_WINDOW)
        self._count = 0
        self._total = 0.0

    def add(self, seconds: float) -> None:
        """Note one."""
        self._latest[self._count % _WINDOW] = seconds
        self._count += 1
        self._total += seconds

    def snapshot(self) -> Durations:
        """What was noted so far."""
        if self._count == 0:
            return Durations(0, 0.0, 0.0, 0.0, 0.0)
        p50, p95, p99 = np.percentile(self._latest[: self._count], (50, 95, 99))
        return Durations(self._count, self._total, float(p50), float(p95), float(p99))


class Recorder:
    """Counts what the engine does; all numbers rise."""

    def __init__(self) -> None:
        self.submitted = 0
        self.steps = 0
        self.computed_tokens = 0
        self.generated_tokens = 0
        self.callback_errors = 0
        self.finished: Counter[FinishReason] = Counter()
        self.first_token = DurationWindow()
        self.per_token = DurationWindow()
        self._last_token: dict[int, float] = {}

    def step(self, tokens: int) -> None:
        """Note a pass over ``tokens`` tokens."""
        self.steps += 1
        self.computed_tokens += tokens

    def tokens(self, request_id: int, submitted: float, now: float, count: int) -> None:
        """Note new tokens of a request that was submitted then; they share the time they took."""
        if count == 0:
            return
        self.generated_tokens += count
        last = self._last_token.get(request_id)
        if last is None:
            self.first_token.add(now - submitted)
        else:
            for _ in range(count):
                self.per_token.add((now - last) / count)
        self._last_token[request_id] = now

    def finish(self, request_id: int, reason: FinishReason) -> None:
        """Note the end of a request."""
        self.finished[reason] += 1
        self._last_token.pop(request_id, None)

    def snapshot(
        self,
        *,
        refused: int,
        waiting: int,
        running: int,
        waiting_tokens: int,
        preemptions: int,
        cache: KVCache,
        cache_bytes: int,
        speculation: SpeculationCounters,
        adapters: AdapterCounters,
    ) -> Counters:
        """The counters now.

        Args:
            refused: Requests that found the queue full.
            waiting: Requests in the queue.
            running: Requests that hold cache.
            waiting_tokens: Known tokens of the requests in the queue.
            preemptions: How often a request gave up its cache to another.
            cache: The cache.
            cache_bytes: Memory of its blocks and states.
            speculation: Counters of the drafters.
            adapters: Counters of the adapters.
        """
        stats = cache.stats
        return Counters(
            waiting=waiting,
            running=running,
            waiting_tokens=waiting_tokens,
            cache_blocks=cache.num_blocks,
            owned_blocks=cache.num_blocks - cache.num_free,
            cached_blocks=cache.num_cached,
            cache_states=cache.num_states,
            owned_states=cache.num_states - cache.num_free_states,
            cached_states=cache.num_cached_states,
            cache_bytes=cache_bytes,
            submitted=self.submitted,
            refused=refused,
            finished=self.finished.copy(),
            preemptions=preemptions,
            steps=self.steps,
            computed_tokens=self.computed_tokens,
            generated_tokens=self.generated_tokens,
            queried_tokens=stats.queried_tokens,
            hit_tokens=stats.hit_tokens + stats.restored_tokens,
            restored_tokens=stats.restored_tokens,
            evictions=stats.evictions,
            saved_blocks=stats.saved_blocks,
            callback_errors=self.callback_errors,
            first_token=self.first_token.snapshot(),
            per_token=self.per_token.snapshot(),
            speculation=speculation,
            adapters=adapters,
        )
