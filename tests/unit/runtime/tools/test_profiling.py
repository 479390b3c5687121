from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path

import pytest

from nanoaccel.runtime.speculation.drafters import DrafterOptions
from nanoaccel.runtime.speculation.drafters.ngram import NgramDrafter
from nanoaccel.runtime.tools.profiling import PHASES, Profiler
from nanoaccel.runtime.tools.profiling.clock import NestedClock
from nanoaccel.testing.engines import VOCAB_SIZE, Bench, letter_tokenizer
from nanoaccel.text import Tokenizer


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    return letter_tokenizer(tmp_path)


def ticking() -> Callable[[], float]:
    """A clock that moves by a second with each look."""
    ticks = count()
    return lambda: float(next(ticks))


def replaced(bench: Bench) -> dict[str, list[str]]:
    """Attributes that objects of the engine have of their own, and what watches it."""
    owners = {"engine": bench.engine, "speculator": bench.speculator, "backend": bench.backend}
    found = {name: sorted(vars(owner)) for name, owner in owners.items()}
    return {**found, "observer": [type(bench.engine.observer).__name__]}


def test_nested_clock_gives_each_moment_to_the_innermost() -> None:
    clock: NestedClock[str] = NestedClock(ticking())
    inner = clock.around("inner", lambda: None)
    clock.around("outer", lambda: (inner(), inner()))()
    assert [name for name, _, _ in clock.take()] == ["outer", "inner", "outer", "inner", "outer"]
    assert clock.take() == []


def test_nested_clock_survives_what_raises() -> None:
    clock: NestedClock[str] = NestedClock(ticking())

    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        clock.around("outer", clock.around("inner", fail))()
    spans = clock.take()
    assert [name for name, _, _ in spans] == ["outer", "inner", "outer"]
    assert all(before[2] == after[1] for before, after in pairwise(spans))


def test_profiler_phases_add_up(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)
    bench.submit([1, 2, 3] * 20, max_tokens=12, ignore_eos=True)
    bench.submit([4] * 5, max_tokens=6, ignore_eos=True)
    with Profiler(bench.engine, ticking()) as profiler:
        bench.run()
    assert profiler.steps
    for step in profiler.steps:
        assert step.seconds == sum(step.of(phase) for phase in PHASES)
        for before, after in pairwise(step.spans):
            assert before.end == after.begin
    first, *_, last = profiler.steps
    assert not first.decodes
    assert last.decodes
    assert (last.tokens, last.sequences) == (1, 1)
    assert last.context == 60 + 11
    assert {span.phase for step in profiler.steps for span in step.spans} >= {
        *("schedule", "draft", "forward", "verify", "sample", "detokenize", "other")
    }
    assert sum(step.tokens for step in profiler.steps) == 60 + 11 + 5 + 5


def test_profiler_counts_guesses_as_decoding(tokenizer: Tokenizer) -> None:
    bench = Bench(
        tokenizer, drafters=[NgramDrafter(DrafterOptions(vocab_size=VOCAB_SIZE, corpus_tokens=0))]
    )
    bench.submit([1, 2, 3] * 5, max_tokens=8, ignore_eos=True)
    with Profiler(bench.engine) as profiler:
        bench.run()
    assert profiler.steps[-1].decodes
    assert profiler.steps[-1].of("draft") > 0


def test_profiler_leaves_the_engine_as_it_was(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)
    before = replaced(bench)
    request = bench.submit([1, 2, 3], max_tokens=4)
    own = sorted(vars(request))
    profiler = Profiler(bench.engine)
    profiler.attach()
    assert replaced(bench) != before
    bench.run()
    profiler.detach()
    profiler.detach()
    assert replaced(bench) == before
    assert sorted(vars(request)) == own
    bench.submit([1], max_tokens=2)
    steps = len(profiler.steps)
    bench.run()
    assert len(profiler.steps) == steps


def test_profiler_changes_no_text(tokenizer: Tokenizer) -> None:
    texts = []
    for profiled in (False, True):
        bench = Bench(tokenizer)
        profiler = Profiler(bench.engine)
        if profiled:
            profiler.attach()
        request = bench.submit([5, 6, 7], max_tokens=20)
        bench.run()
        texts.append(bench.result(request).token_ids)
    assert texts[0] == texts[1]


def test_profiler_notes_a_step_whose_pass_fails(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)

    def fail(_: object) -> None:
        raise RuntimeError("no memory")

    bench.backend.forward = fail  # type: ignore[method-assign, assignment]
    request = bench.submit([1, 2], max_tokens=4)
    with Profiler(bench.engine) as profiler:
        bench.run()
    assert bench.result(request).finish_reason == "error"
    assert profiler.steps[0].of("forward") > 0
    assert bench.backend.forward is fail


def test_profiler_detach_waits_for_the_step(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)
    inside, go_on = threading.Event(), threading.Event()
    forward = bench.backend.forward

    def slow(plan: object) -> object:
        inside.set()
        assert go_on.wait(60)
        return forward(plan)  # type: ignore[arg-type]

    bench.backend.forward = slow  # type: ignore[method-assign, assignment]
    profiler = Profiler(bench.engine)
    profiler.attach()
    bench.submit([1], max_tokens=1)
    stepping = threading.Thread(target=bench.engine.step)
    stepping.start()
    assert inside.wait(60)
    detaching = threading.Thread(target=profiler.detach)
    detaching.start()
    detaching.join(0.1)
    assert detaching.is_alive()
    go_on.set()
    stepping.join(60)
    detaching.join(60)
    assert len(profiler.steps) == 1
