from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanoaccel.runtime.execution.pass_time import PassTimeModel
from nanoaccel.runtime.execution.selector import (
    EXPECTED_TOKENS,
    GraphSelector,
    worth_keeping,
)
from nanoaccel.runtime.scheduling.load import Load

QUICK_ALONE = PassTimeModel(decode={1: 0.005, 8: 0.020}, prompt_token=0.001)
QUICK_TOGETHER = PassTimeModel(decode={1: 0.008, 8: 0.012}, prompt_token=0.0005)
SLOW = PassTimeModel(decode={1: 0.009, 8: 0.030}, prompt_token=0.002)


def test_pass_times_lie_between_what_was_measured() -> None:
    assert QUICK_ALONE.decode_seconds(1) == 0.005
    assert QUICK_ALONE.decode_seconds(8) == pytest.approx(0.020)
    assert 0.005 < QUICK_ALONE.decode_seconds(3) < 0.020
    assert QUICK_ALONE.decode_seconds(16) > QUICK_ALONE.decode_seconds(8)


def test_pass_times_of_one_measured_count_grow_with_it() -> None:
    assert PassTimeModel(decode={1: 0.5}, prompt_token=1).decode_seconds(3) == 1.5


def test_worth_keeping_drops_what_is_never_the_fastest() -> None:
    assert worth_keeping([SLOW, QUICK_TOGETHER, QUICK_ALONE]) == [2, 1]
    assert worth_keeping([SLOW, QUICK_ALONE]) == [1]


def test_worth_keeping_drops_what_is_hardly_faster() -> None:
    barely = PassTimeModel(decode={1: 0.006, 8: 0.0199}, prompt_token=0.001)
    assert worth_keeping([QUICK_ALONE, barely]) == [0]


def fresh(requests: int, tokens: int) -> Load:
    """Requests of which nothing is computed."""
    return Load(requests, 0, tokens)


def decoding(requests: int, tokens: int = 1000) -> Load:
    """Requests that decode, behind so many tokens together."""
    return Load(requests, tokens, requests)


def test_selector_begins_with_the_best_for_one() -> None:
    assert GraphSelector([QUICK_TOGETHER, QUICK_ALONE]).current == 1


def test_selector_follows_the_number_of_requests_when_nothing_is_computed() -> None:
    selector = GraphSelector([QUICK_ALONE, QUICK_TOGETHER])
    assert selector.choose(fresh(1, 10)) == 0
    assert selector.choose(fresh(8, 80)) == 1
    assert selector.choose(fresh(1, 10)) == 0


def test_selector_counts_long_prompts() -> None:
    selector = GraphSelector([QUICK_ALONE, QUICK_TOGETHER])
    saved = EXPECTED_TOKENS * (0.008 - 0.005)
    assert selector.choose(fresh(1, int(saved / 0.0005) - 10)) == 0
    assert selector.choose(fresh(1, int(saved / 0.0005) + 10)) == 1


def test_selector_moves_when_staying_has_cost_as_much_as_moving() -> None:
    selector = GraphSelector([QUICK_ALONE, QUICK_TOGETHER])
    steps = 0
    while selector.choose(decoding(8)) == 0:
        steps += 1
    assert steps == pytest.approx(1000 * 0.0005 / (0.020 - 0.012), abs=2)


def test_selector_moves_at_once_when_many_come_just_after_one_began() -> None:
    selector = GraphSelector([QUICK_ALONE, QUICK_TOGETHER])
    assert selector.choose(fresh(1, 128)) == 0
    assert selector.choose(Load(8, 128, 7 * 128)) == 1


def test_selector_does_not_leave_in_the_middle_of_a_prompt_for_slower_writing() -> None:
    selector = GraphSelector([QUICK_ALONE, QUICK_TOGETHER])
    assert selector.choose(fresh(1, 500)) == 0
    assert selector.choose(Load(1, 128, 372)) == 0


def test_selector_stays_when_a_short_prompt_comes_beside_a_long_text() -> None:
    selector = GraphSelector([QUICK_ALONE, QUICK_TOGETHER])
    assert selector.choose(Load(2, 1000, 20)) == 0


def test_selector_stays_where_the_load_comes_and_goes() -> None:
    selector = GraphSelector([QUICK_ALONE, QUICK_TOGETHER])
    for _ in range(50):
        assert selector.choose(decoding(8)) == 0
        for _ in range(8):
            assert selector.choose(decoding(1)) == 0


@given(st.lists(st.integers(1, 16), max_size=300), st.integers(1, 5000))
def test_selector_never_costs_much_more_than_the_best_single_graph(
    loads: list[int], known: int
) -> None:
    times = [QUICK_ALONE, QUICK_TOGETHER]
    selector = GraphSelector(times)
    spent, current = 0.0, selector.current
    for count in loads:
        moved = selector.choose(decoding(count, known))
        if moved != current:
            spent += known * times[moved].prompt_token
            current = moved
        spent += times[current].decode_seconds(count)
    best = min(sum(one.decode_seconds(count) for count in loads) for one in times)
    assert spent <= 3 * best + known * 0.001
