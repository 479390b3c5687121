"""Which layers get more bits under a budget."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanoaccel.calibration.allocation import Choice, allocate, smallest_size

Units = Mapping[str, Sequence[Choice]]

choices = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 60)), min_size=1, max_size=4).map(
    lambda pairs: [Choice(f"t{i}", size, loss) for i, (size, loss) in enumerate(pairs)]
)
all_units = st.lists(choices, min_size=1, max_size=4).map(
    lambda units: {f"layer {place}": choices for place, choices in enumerate(units)}
)
extras = st.integers(0, 120)


def best_loss(units: Units, budget: int) -> float:
    """By trying everything."""
    return min(
        sum(choice.loss for choice in taken)
        for taken in itertools.product(*units.values())
        if sum(choice.size for choice in taken) <= budget
    )


def smallest_loss(units: Units) -> float:
    return sum(min(choices, key=lambda c: (c.size, c.loss)).loss for choices in units.values())


@given(all_units, extras)
def test_allocate_keeps_the_budget_and_says_what_it_chose(units: Units, extra: int) -> None:
    budget = smallest_size(units) + extra
    found = allocate(units, budget)
    taken = [
        next(choice for choice in units[name] if choice.name == kind)
        for name, kind in found.chosen.items()
    ]
    assert set(found.chosen) == set(units)
    assert found.size == sum(choice.size for choice in taken) <= budget
    assert found.loss == sum(choice.loss for choice in taken)


@given(all_units, extras)
def test_allocate_is_no_worse_than_the_smallest_choices(units: Units, extra: int) -> None:
    assert allocate(units, smallest_size(units) + extra).loss <= smallest_loss(units)


@given(all_units, extras, st.integers(0, 40))
def test_allocate_loses_no_more_with_a_larger_budget(units: Units, extra: int, more: int) -> None:
    budget = smallest_size(units) + extra
    assert allocate(units, budget + more).loss <= allocate(units, budget).loss


@given(all_units, extras)
def test_allocate_is_at_most_one_step_from_the_best(units: Units, extra: int) -> None:
    budget = smallest_size(units) + extra
    step = max(
        min(choices, key=lambda c: (c.size, c.loss)).loss - min(choice.loss for choice in choices)
        for choices in units.values()
    )
    best = best_loss(units, budget)
    assert best <= allocate(units, budget).loss <= best + step


@given(all_units)
def test_allocate_is_best_where_everything_fits(units: Units) -> None:
    budget = sum(max(choice.size for choice in choices) for choices in units.values())
    assert allocate(units, budget).loss == best_loss(units, budget)


def test_allocate_refuses_a_budget_below_the_smallest() -> None:
    units = {"a": [Choice("int4", 10, 1.0), Choice("int8", 20, 0.0)]}
    assert allocate(units, 10).chosen == {"a": "int4"}
    with pytest.raises(ValueError, match="9 bytes are less than 10"):
        allocate(units, 9)


def test_allocate_takes_the_better_of_two_of_one_size() -> None:
    units = {"a": [Choice("nf4", 10, 2.0), Choice("int4", 10, 1.0)]}
    assert allocate(units, 100).chosen == {"a": "int4"}


def test_allocate_leaves_out_what_is_larger_and_no_better() -> None:
    units = {"a": [Choice("int4", 10, 1.0), Choice("int8", 20, 1.0), Choice("f16", 40, 3.0)]}
    assert allocate(units, 100).chosen == {"a": "int4"}


def test_allocate_steps_over_a_choice_above_the_hull() -> None:
    units = {"a": [Choice("int4", 10, 9.0), Choice("int6", 20, 8.9), Choice("int8", 30, 0.0)]}
    assert allocate(units, 30).chosen == {"a": "int8"}


def test_allocate_stops_on_an_edge_of_the_hull() -> None:
    units = {"a": [Choice("int4", 10, 4.0), Choice("int6", 20, 2.0), Choice("int8", 30, 0.0)]}
    assert allocate(units, 25).chosen == {"a": "int6"}


def test_allocate_spends_on_the_unit_that_gains_most_a_byte() -> None:
    units = {
        "wide": [Choice("int4", 100, 3.0), Choice("int8", 200, 0.0)],
        "narrow": [Choice("int4", 10, 1.0), Choice("int8", 20, 0.0)],
    }
    assert allocate(units, 120).chosen == {"wide": "int4", "narrow": "int8"}
    assert allocate(units, 210).chosen == {"wide": "int4", "narrow": "int8"}
    assert allocate(units, 220).chosen == {"wide": "int8", "narrow": "int8"}


def test_allocate_without_units_takes_nothing() -> None:
    assert allocate({}, 0).size == 0
