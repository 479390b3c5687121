from __future__ import annotations

from support.replicas import counters_of

from nanoaccel.runtime.engine.metrics import Durations
from nanoaccel.runtime.replicas.merging import at_rest, merge
from nanoaccel.runtime.speculation import SpeculationCounters


def test_merge_adds_what_engines_counted() -> None:
    first = counters_of(steps=3, running=1, finished={"stop": 2, "length": 1}, cache_bytes=10)
    second = counters_of(steps=4, finished={"stop": 5}, cache_bytes=20)
    merged = merge([first, second])
    assert (merged.steps, merged.running, merged.cache_bytes) == (7, 1, 30)
    assert merged.finished == {"stop": 7, "length": 1}
    assert merge([first]) == first


def test_merge_weighs_percentiles_by_their_counts() -> None:
    first = counters_of(first_token=Durations(3, 6.0, 2.0, 2.0, 2.0))
    second = counters_of(first_token=Durations(1, 6.0, 6.0, 6.0, 6.0))
    assert merge([first, second]).first_token == Durations(4, 12.0, 3.0, 3.0, 3.0)
    assert merge([counters_of(), counters_of()]).first_token.p50 == 0.0


def test_merge_adds_guesses_by_position() -> None:
    first = SpeculationCounters(tokens=5, rows=4, reached=(4, 2), seconds_per_guess={"head": 1.0})
    second = SpeculationCounters(tokens=1, rows=1, reached=(1,), seconds_per_guess={"head": 3.0})
    merged = merge([counters_of(speculation=first), counters_of(speculation=second)]).speculation
    assert (merged.tokens, merged.rows, merged.reached) == (6, 5, (5, 2))
    assert merged.seconds_per_guess == {"head": 2.0}


def test_merge_of_nothing_is_zero() -> None:
    assert merge([]) == counters_of()


def test_counters_at_rest_keep_what_was_done() -> None:
    rest = at_rest(counters_of(running=2, waiting=1, cache_blocks=9, steps=5))
    assert (rest.running, rest.waiting, rest.cache_blocks, rest.steps) == (0, 0, 0, 5)
