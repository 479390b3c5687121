"""Engines in processes of their own: prompts asked at once, and loads that are played."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness.engines import PLAIN
from benchmarks.harness.figures import Pacing
from benchmarks.harness.loads import Load, Request
from benchmarks.harness.worker import EngineFailed, Worker

pytestmark = pytest.mark.export


def test_a_worker_generates(tiny_bundle: Path) -> None:
    with Worker("nanoaccel", tiny_bundle, PLAIN, watch_memory=True) as worker:
        answer = worker.generate([[1, 2, 3], [4, 5, 6]], 4)
    assert answer.tokens == 8
    assert 0 < answer.first <= answer.total
    assert worker.peak_memory["resident"] > 0


def test_a_worker_plays_a_load(tiny_bundle: Path) -> None:
    load = Load([Request(0.0, [1, 2, 3], 4), Request(0.01, [4, 5], 3)], slots=1)
    with Worker("nanoaccel-serving", tiny_bundle, PLAIN) as worker:
        traces = worker.play(load)
    assert [len(trace.tokens) for trace in traces] == [4, 3]
    assert all(trace.first_token > 0 for trace in traces)
    assert Pacing.of(traces).tokens_per_second > 0


def test_a_load_that_is_not_answered_in_full_fails(tiny_bundle: Path) -> None:
    load = Load([Request(0.0, [1, 2, 3], 10_000)])
    with Worker("nanoaccel-serving", tiny_bundle, PLAIN) as worker, pytest.raises(EngineFailed):
        worker.play(load)
