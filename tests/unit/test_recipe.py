from __future__ import annotations

import pytest

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.recipe import Recipe


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe(), "int4 symmetric, scale for 64 weights"),
        (Recipe(group_size=-1, symmetric=False), "int4 asymmetric, scale for a row"),
        (Recipe(weights="int8"), "int8 symmetric"),
        (Recipe(weights="bf16"), "bf16"),
    ],
)
def test_recipe_describes_itself(recipe: Recipe, words: str) -> None:
    assert recipe.describe() == words


def test_recipe_refuses_an_unknown_weight_type() -> None:
    with pytest.raises(ConfigError, match=r"weights='int5' is unknown\. Choose one of f32"):
        Recipe(weights="int5")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 8, 33, -2])
def test_recipe_refuses_a_group_size_that_no_kernel_has(size: int) -> None:
    with pytest.raises(ConfigError, match=f"group_size={size} is not a multiple of 16"):
        Recipe(group_size=size)
