from __future__ import annotations

import pytest
from support.engines import Bench, letter_tokenizer

from nanoaccel.runtime.text import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return letter_tokenizer(tmp_path_factory.mktemp("letters"))


def plan(bench: Bench) -> list[tuple[int, int, int]]:
    """What the next step does: (request, start, end); then do it."""
    chunks = bench.engine.scheduler.schedule()
    for chunk in chunks:
        chunk.request.num_computed = chunk.end
    return [(chunk.request.id, chunk.start, chunk.end) for chunk in chunks]


def test_scheduler_cuts_prompts_to_the_step_budget(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, max_step_tokens=10)
    bench.submit([1] * 25)
    assert plan(bench) == [(0, 0, 10)]
    assert plan(bench) == [(0, 10, 20)]
    assert plan(bench) == [(0, 20, 25)]


def test_scheduler_fills_a_step_with_several_prompts(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, max_step_tokens=10)
    for length in (4, 3, 8):
        bench.submit([1] * length)
    assert plan(bench) == [(0, 0, 4), (1, 0, 3), (2, 0, 3)]


def test_scheduler_puts_decodes_before_prompts(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, max_step_tokens=6)
    bench.submit([1] * 4, ignore_eos=True)
    bench.submit([2] * 2, ignore_eos=True)
    bench.step()
    older, younger = bench.engine.scheduler.requests()
    assert (older.num_pending, younger.num_pending) == (1, 1)
    older.num_computed = 0
    assert plan(bench) == [(1, 2, 3), (0, 0, 5)]


def test_scheduler_admits_no_more_than_max_running(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, max_running=2)
    for _ in range(3):
        bench.submit([1, 2])
    assert [request for request, _, _ in plan(bench)] == [0, 1]
    assert bench.engine.scheduler.num_waiting == 1


def test_scheduler_admits_first_come_first_served(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, num_blocks=4, max_step_tokens=100)
    bench.submit([1] * 9)
    bench.submit([1] * 9)
    bench.submit([1])
    assert [request for request, _, _ in plan(bench)] == [0]


def test_scheduler_with_nothing_to_do_plans_nothing(tokenizer: Tokenizer) -> None:
    assert plan(Bench(tokenizer)) == []
