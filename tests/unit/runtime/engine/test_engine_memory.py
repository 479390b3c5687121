"""What a step allocates, beside the backend."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from nanoaccel.runtime.types.plan import StepPlan, StepResult
from nanoaccel.testing.engines import VOCAB_SIZE, Bench, quick
from nanoaccel.text import Tokenizer

PROMPT = 2000
REQUESTS = 8


class Constant:
    """Stands for a backend: gives the same rows of logits in each step, of a large vocabulary."""

    def __init__(self, rows: int, vocab_size: int) -> None:
        self._logits = np.zeros((rows, vocab_size), np.float32)
        self._logits[:, 7] = 1

    def forward(self, plan: StepPlan) -> StepResult:
        return StepResult(self._logits[: len(plan.logits_rows)])


@pytest.fixture
def decoding(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Requests with long contexts that all decode; memory is traced from now on."""
    bench = Bench(tokenizer, quick(), num_blocks=6000, max_step_tokens=4096)
    constant = Constant(REQUESTS, vocab_size=20_000)
    monkeypatch.setattr(bench.backend, "forward", constant.forward)
    for number in range(REQUESTS):
        prompt = [(number + place) % VOCAB_SIZE for place in range(PROMPT)]
        bench.submit(prompt, max_tokens=2000, ignore_eos=True)
    while any(request.num_pending > 1 for request in bench.scheduler.requests()):
        bench.engine.step()
    assert bench.scheduler.num_running == REQUESTS
    tracemalloc.start()
    for _ in range(20):
        bench.engine.step()
    yield bench
    tracemalloc.stop()


def test_engine_decode_step_allocates_no_array_of_the_size_of_batch_context_or_model(
    decoding: Bench,
) -> None:
    peaks = []
    for _ in range(200):
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        decoding.engine.step()
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    # A row of logits takes 80,000 bytes, the tokens of a context 16,000, the blocks of the step
    # 16,000. What is left is the objects that are delivered, and new blocks in every fourth step.
    assert np.median(peaks) < 12_000


def test_engine_keeps_nothing_of_a_decode_step(decoding: Bench) -> None:
    mine = tracemalloc.Filter(True, "*/nanoaccel/runtime/*")
    kv = tracemalloc.Filter(False, "*/nanoaccel/runtime/kv/*")
    before = tracemalloc.take_snapshot().filter_traces([mine, kv])
    for _ in range(200):
        decoding.engine.step()
        decoding.events.clear()
        for chunks in decoding.chunks.values():
            chunks.clear()
    after = tracemalloc.take_snapshot().filter_traces([mine, kv])
    grown = {
        str(entry.traceback): entry.size_diff
        for entry in after.compare_to(before, "lineno")
        if entry.size_diff > 1000
    }
    assert not grown
