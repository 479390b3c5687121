"""Thousands of requests of all kinds: none is lost, no block is lost, memory does not grow."""

from __future__ import annotations

import gc
import logging
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import psutil
import pytest

from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.types.outputs import FinishReason
from nanoaccel.runtime.types.plan import StepPlan, StepResult
from nanoaccel.testing.engines import VOCAB_SIZE, Bench, next_letter, quick
from nanoaccel.text import Tokenizer

_BY_POSITION = CacheEviction(16, start_tokens=4)
_BY_SCORE = CacheEviction(24, start_tokens=4, by="score")
_POISON = VOCAB_SIZE - 1  # every pass fails that has it at the beginning of a text


class Soak:
    """Requests that come, are cancelled, are late, or meet a pass that fails, as the dice say."""

    def __init__(
        self,
        bench: Bench,
        seed: int,
        monkeypatch: pytest.MonkeyPatch,
        evictions: tuple[CacheEviction | None, ...],
    ) -> None:
        self.bench = bench
        self.evictions = evictions
        self.random = random = Random(seed)
        self.prefixes = [[random.randrange(_POISON) for _ in range(40)] for _ in range(6)]
        self.live: list[Request] = []
        self.reasons: Counter[FinishReason] = Counter()
        self.poisoned: set[int] = set()
        self.poisoned_errors = 0
        self.failed_passes = 0
        forward = bench.backend.forward

        def unreliable(plan: StepPlan) -> StepResult:
            if np.any((plan.token_ids == _POISON) & (plan.positions == 0)):
                raise RuntimeError("a pass that fails always")
            if random.random() < 0.003:
                self.failed_passes += 1
                raise RuntimeError("a pass that failed")
            return forward(plan)

        monkeypatch.setattr(bench.backend, "forward", unreliable)

    def run(self, count: int) -> None:
        """Play ``count`` more requests to their ends."""
        while count > 0 or self.bench.engine.has_work:
            while count > 0 and len(self.live) < 30 and self.random.random() < 0.7:
                self._submit()
                count -= 1
            if self.live and self.random.random() < 0.05:
                self.bench.engine.cancel(self.random.choice(self.live))
            self.bench.step()
            self.bench.time += 0.01
            self._take_ended()
        self.bench.run()

    def _submit(self) -> None:
        random = self.random
        shared = random.choice(self.prefixes)[: random.choice((0, 5, 8, 16, 40))]
        own = [random.randrange(_POISON) for _ in range(random.choice((1, 3, 12)))]
        poison = [_POISON] if random.random() < 0.03 else []
        request = self.bench.submit(
            poison + shared + own,
            max_tokens=random.choice((1, 8, 16, 24)),
            priority=random.choice((0, 0, 0, 1, -1)),
            timeout=random.choice((None, None, None, 0.05, 0.5)),
            eviction=random.choice(self.evictions),
            stop=random.choice(((), (), ("a", "bc"))),
            ignore_eos=random.random() < 0.5,
        )
        self.live.append(request)
        if poison:
            self.poisoned.add(request.id)

    def _take_ended(self) -> None:
        for request in [r for r in self.live if r.finish_reason is not None]:
            self.live.remove(request)
            result = self.bench.result(request)
            ends = [c.finish_reason for c in self.bench.chunks.pop(request.id)]
            assert [reason for reason in ends if reason is not None] == [request.finish_reason]
            assert result.usage.completion_tokens == len(result.token_ids)
            self.reasons[result.finish_reason] += 1
            if request.id in self.poisoned and result.finish_reason == "error":
                self.poisoned_errors += 1
                assert result.usage.completion_tokens == 0
            if request.eviction is None:
                known = request.tokens(0, request.num_known).tolist()
                for place in range(request.num_prompt, request.num_known):
                    assert known[place] == next_letter(known[:place])
        self.bench.events.clear()


def resident() -> int:
    gc.collect()
    memory: int = psutil.Process().memory_info().rss
    return memory


def test_engine_outlives_thousands_of_requests(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="nanoaccel")  # pytest keeps every line in memory
    bench = Bench(tokenizer, quick(), num_blocks=48, max_step_tokens=64)
    soak = Soak(bench, 1, monkeypatch, (None, None, _BY_POSITION))
    soak.run(1000)
    before = resident()
    soak.run(3000)
    assert resident() < 1.03 * before
    counters = bench.engine.counters()
    assert sum(soak.reasons.values()) == counters.submitted == 4000
    assert soak.reasons == counters.finished
    reasons = ("stop", "length", "cancelled", "timeout")
    assert min(soak.reasons[reason] for reason in reasons) > 100
    assert soak.poisoned_errors > 50, "what fails always ends"
    others = soak.reasons["error"] - soak.poisoned_errors
    assert soak.failed_passes > 5 > others, "what fails once hurts hardly anybody"
    assert min(counters.preemptions, counters.evictions, counters.hit_tokens) > 100


def test_engine_outlives_thousand_requests_with_a_small_disk(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench = Bench(
        tokenizer,
        quick(),
        num_blocks=32,
        max_step_tokens=64,
        attention_scores=True,
        folder=tmp_path,
        tier_bytes=10_000,
    )
    soak = Soak(bench, 2, monkeypatch, (None, None, _BY_POSITION, _BY_SCORE))
    soak.run(1000)
    counters = bench.engine.counters()
    assert sum(soak.reasons.values()) == 1000
    assert min(counters.restored_tokens, counters.saved_blocks, counters.preemptions) > 100
    bench.close()
    assert sum(path.stat().st_size for path in tmp_path.glob("*.kv")) <= 10_000
