from __future__ import annotations

import dataclasses

import pytest

from nanoaccel.runtime.engine.metrics import DurationWindow, Recorder
from nanoaccel.testing.engines import VOCAB_SIZE, Bench, quick
from nanoaccel.text import Tokenizer


def test_durations_of_nothing_are_zero() -> None:
    durations = DurationWindow().snapshot()
    assert dataclasses.astuple(durations) == (0, 0.0, 0.0, 0.0, 0.0)
    assert durations.mean == 0.0


def test_durations_tell_percentiles_and_mean() -> None:
    window = DurationWindow()
    for seconds in range(1, 102):
        window.add(float(seconds))
    durations = window.snapshot()
    assert (durations.count, durations.total, durations.mean) == (101, 5151.0, 51.0)
    assert (durations.p50, durations.p95, durations.p99) == (51.0, 96.0, 100.0)


def test_durations_take_percentiles_of_the_latest_values() -> None:
    window = DurationWindow()
    for seconds in [9.0] * 3000 + [1.0] * 1024:
        window.add(seconds)
    durations = window.snapshot()
    assert (durations.count, durations.total) == (4024, 28024.0)
    assert (durations.p50, durations.p99) == (1.0, 1.0)


def test_recorder_times_tokens_of_each_request_apart() -> None:
    recorder = Recorder()
    recorder.tokens(1, submitted=0.0, now=2.0, count=1)
    recorder.tokens(2, submitted=1.0, now=2.0, count=1)
    recorder.tokens(1, submitted=0.0, now=5.0, count=3)
    recorder.finish(1, "stop")
    recorder.tokens(1, submitted=9.0, now=9.5, count=1)  # another one of that number
    assert recorder.generated_tokens == 6
    first, later = recorder.first_token.snapshot(), recorder.per_token.snapshot()
    assert (first.count, first.total) == (3, 3.5)
    assert (later.count, later.total) == (3, 3.0)
    assert later.p50 == 1.0


def test_counters_tell_what_the_engine_did(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, quick(), max_running=1, num_blocks=8)
    for place in range(3):
        bench.submit([1, 2, 3, 4, place], max_tokens=3, ignore_eos=True)
    bench.time = 1.0
    bench.step()
    early = bench.engine.counters()
    assert (early.waiting, early.running, early.steps) == (2, 1, 1)
    assert (early.cache_blocks, early.owned_blocks, early.cached_blocks) == (8, 2, 0)
    assert early.cache_bytes == 8 * 32
    assert (early.hit_rate, early.finished) == (0.0, {})
    bench.run()
    late = bench.engine.counters()
    assert (late.waiting, late.running, late.owned_blocks) == (0, 0, 0)
    assert late.cached_blocks > 0
    assert (late.submitted, late.refused, late.finished) == (3, 0, {"length": 3})
    assert (late.steps, late.generated_tokens, late.computed_tokens) == (9, 9, 5 + 2 + 2 * 3)
    assert (late.queried_tokens, late.hit_tokens, late.hit_rate) == (15, 8, pytest.approx(8 / 15))
    assert (late.first_token.count, late.per_token.count) == (3, 6)
    assert late.first_token.total == 3.0
    assert early.steps == 1, "a snapshot does not change"


def test_counters_count_each_end_once(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, quick(), max_running=2)
    requests = [bench.submit([place], max_tokens=2, ignore_eos=True) for place in range(5)]
    bench.submit([VOCAB_SIZE - 1], max_tokens=2, timeout=0.0)
    bench.step()
    bench.engine.cancel(requests[4])
    bench.run()
    assert bench.engine.counters().finished == {"length": 4, "cancelled": 1, "timeout": 1}


def test_counters_notice_preemptions_and_evictions(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, quick(), num_blocks=9)
    requests = [bench.submit([place] * 3, max_tokens=20, ignore_eos=True) for place in range(4)]
    bench.run()
    counters = bench.engine.counters()
    assert counters.preemptions == sum(request.num_preemptions for request in requests) > 0
    assert counters.evictions > 0
    assert counters.saved_blocks == counters.restored_tokens == 0
