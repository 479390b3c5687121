from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nanoaccel.runtime.backends.onnxruntime.runs import (
    MOST_PADDING,
    Run,
    plan_even_runs,
    plan_runs,
)

STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.one_of(st.just(1), st.integers(1, 300))),
    min_size=1,
    max_size=20,
    unique_by=lambda pair: pair[0],
)


def split(steps: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    slots, counts = zip(*steps, strict=True)
    return list(slots), list(counts)


@given(STEPS)
def test_runs_take_each_sequence_once(steps: list[tuple[int, int]]) -> None:
    slots, counts = split(steps)
    for plan in (plan_runs, plan_even_runs):
        runs = plan(slots, counts)
        assert sorted(s for run in runs for s in run.sequences) == list(range(len(slots)))
        for run in runs:
            held = [slots[sequence] for sequence in run.sequences]
            assert held == sorted(held)
            assert (run.first_slot, run.num_slots) == (held[0], held[-1] - held[0] + 1)
            assert run.longest == max(counts[sequence] for sequence in run.sequences)


@given(STEPS)
def test_runs_pad_no_more_than_a_pass_is_worth(steps: list[tuple[int, int]]) -> None:
    slots, counts = split(steps)
    for run in plan_runs(slots, counts):
        tokens = sum(counts[sequence] for sequence in run.sequences)
        assert run.num_slots * run.longest - tokens <= MOST_PADDING


@given(STEPS)
def test_even_runs_have_no_padding(steps: list[tuple[int, int]]) -> None:
    slots, counts = split(steps)
    for run in plan_even_runs(slots, counts):
        assert run.num_slots * run.longest == sum(counts[s] for s in run.sequences)


def test_runs_put_decodes_and_guesses_together() -> None:
    assert plan_runs([3, 1, 0, 2], [1, 5, 2, 1]) == [Run((2, 1, 3, 0), 0, 4, 5)]


def test_runs_let_a_long_prompt_go_alone() -> None:
    first, second = plan_runs([0, 1, 2, 3], [1, 100, 1, 1])
    assert first.sequences == (0, 2, 3)
    assert second == Run((1,), 1, 1, 100)


def test_even_runs_go_over_neighbors_only() -> None:
    runs = plan_even_runs([0, 1, 3, 4], [1, 1, 1, 7])
    assert [run.sequences for run in runs] == [(3,), (0, 1), (2,)]
