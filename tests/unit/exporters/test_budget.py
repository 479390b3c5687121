from __future__ import annotations

import pytest
from support import trials

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.quantize.recipe import Override, Recipe

NAMES = [layer.name for layer in trials.layers()[1:]]


def test_sensitive_is_nothing_without_a_limit() -> None:
    assert trials.budget().sensitive(Recipe()) == frozenset()


def test_sensitive_takes_the_layers_that_lose_most() -> None:
    budget = trials.budget()
    low, high = budget.range(Recipe())
    found = budget.sensitive(Recipe(target_size=low + (high - low) // 2))
    assert found == set(NAMES[:4])


def test_sensitive_by_share_counts_weights() -> None:
    assert trials.budget().sensitive(Recipe(share=0.75)) == set(NAMES[:2])
    assert trials.budget().sensitive(Recipe(share=0.0)) == set(NAMES)


def test_within_never_exceeds_the_size() -> None:
    budget = trials.budget()
    low, high = budget.range(Recipe())
    for size in range(low, high, 5000):
        assert budget.within(Recipe(), size).size <= size


def test_within_names_the_smallest_possible_size() -> None:
    budget = trials.budget()
    low, _ = budget.range(Recipe())
    with pytest.raises(ConfigError, match=rf"The smallest is {low / 1e6:.1f} MB"):
        budget.within(Recipe(), low - 1)


def test_target_bits_are_of_the_whole_model() -> None:
    budget = trials.budget()
    low, high = budget.range(Recipe())
    bits = high * 8 / budget.parameters
    assert budget.sensitive(Recipe(target_bits=bits)) == set(NAMES)
    assert budget.sensitive(Recipe(target_bits=low * 8.001 / budget.parameters)) == frozenset()


def test_overrides_are_out_of_the_allocation() -> None:
    fixed = Override(layers="model.layers.0.*", weights="int8")
    recipe = Recipe(overrides=(fixed,))
    budget = trials.budget()
    low, high = budget.range(recipe)
    assert budget.within(recipe, high).chosen.keys() == set(NAMES[2:])
    assert low > budget.range(Recipe())[0]


def test_asymmetric_integers_need_room_for_their_zero_points() -> None:
    budget = trials.budget()
    assert budget.range(Recipe(symmetric=False))[0] > budget.range(Recipe())[0]
