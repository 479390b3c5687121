"""Which layer gets which type."""

from __future__ import annotations

from typing import Any

import pytest

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.quantize.compression.layers import Layer, group_of, storage_of
from nanoaccel.exporters.quantize.recipe import Override, Recipe
from nanoaccel.exporters.quantize.weight_types import FLOATS


def layer(name: str, kind: Any = "projection", inputs: int = 128) -> Layer:
    return Layer(name, kind, (f"{name}/MatMul",), 64, inputs)


LAYERS = [
    layer("model.embed_tokens", "embedding"),
    layer("model.layers.0.self_attn.q_proj"),
    layer("model.layers.0.mlp.down_proj", inputs=96),
    layer("model.layers.1.self_attn.q_proj"),
    layer("model.layers.1.mlp.down_proj", inputs=72),
    layer("lm_head", "last"),
]
NAMES = [item.name for item in LAYERS]


def types(recipe: Recipe, kept: frozenset[str] = frozenset()) -> list[str]:
    storage = storage_of(LAYERS, recipe, kept)
    assert list(storage) == NAMES
    return list(storage.values())


def test_storage_gives_projections_the_recipes_type_and_ends_int8() -> None:
    recipe = Recipe(group_size=-1)
    assert types(recipe) == ["int8", "int4", "int4", "int4", "int4", "int8"]


@pytest.mark.parametrize(("end", "expected"), [("same", "nf4"), ("float", "float"), ("int8",) * 2])
def test_storage_gives_the_ends_what_they_are_told(end: Any, expected: str) -> None:
    recipe = Recipe(weights="nf4", group_size=-1, embeddings=end)
    assert types(recipe) == [expected, "nf4", "nf4", "nf4", "nf4", "int8"]
    recipe = Recipe(weights="nf4", group_size=-1, last_layer=end)
    assert types(recipe) == ["int8", "nf4", "nf4", "nf4", "nf4", expected]


@pytest.mark.parametrize("weights", FLOATS)
def test_storage_of_floats_is_float(weights: Any) -> None:
    assert types(Recipe(weights=weights)) == ["float"] * 6


@pytest.mark.parametrize("backup", ["int8", "float"])
def test_storage_gives_kept_layers_the_backup(backup: Any) -> None:
    recipe = Recipe(group_size=-1, backup=backup)
    kept = frozenset({NAMES[1], NAMES[4]})
    assert types(recipe, kept) == ["int8", backup, "int4", "int4", backup, "int8"]


def test_storage_takes_the_last_override_that_matches() -> None:
    overrides = (
        Override(layers="model.layers.*", weights="int8"),
        Override(layers="*.1.*", weights="float"),
        Override(layers="*.q_proj", weights="int4"),
        Override(layers="lm_head", weights="int4"),
    )
    recipe = Recipe(group_size=-1, overrides=overrides)
    assert types(recipe) == ["int8", "int4", "int8", "int4", "float", "int4"]


def test_storage_lets_an_override_undo_what_was_kept() -> None:
    recipe = Recipe(group_size=-1, overrides=(Override(layers=NAMES[1], weights="int4"),))
    assert types(recipe, frozenset({NAMES[1]}))[1] == "int4"


@pytest.mark.parametrize("pattern", ["model.layers.0.self_attn.qproj", "model.layers.?.attn.q*"])
def test_storage_refuses_a_pattern_that_matches_nothing(pattern: str) -> None:
    recipe = Recipe(overrides=(Override(layers=pattern, weights="int8"),))
    with pytest.raises(
        ConfigError, match=r"match no layer.*The closest is 'model\.layers\.[01]\.sel"
    ):
        storage_of(LAYERS, recipe)


def test_storage_shows_a_layer_however_wrong_the_pattern_is() -> None:
    recipe = Recipe(overrides=(Override(layers="§§§", weights="int8"),))
    with pytest.raises(ConfigError, match="The closest is"):
        storage_of(LAYERS, recipe)


def test_storage_takes_smaller_groups_and_the_backup_where_there_is_none() -> None:
    recipe = Recipe(backup="float")
    assert [group_of(item, recipe) for item in LAYERS] == [64, 64, 32, 64, None, 64]
    assert types(recipe) == ["int8", "int4", "int4", "int4", "float", "int8"]


@pytest.mark.parametrize("backup", ["int8", "float"])
def test_storage_takes_the_backup_where_the_group_does_not_divide(backup: Any) -> None:
    recipe = Recipe(fallback="backup", backup=backup)
    assert types(recipe) == ["int8", "int4", backup, "int4", backup, "int8"]


def test_storage_refuses_a_group_that_does_not_divide() -> None:
    with pytest.raises(ConfigError, match="group_size=64 does not divide the 96 inputs of model"):
        storage_of(LAYERS, Recipe(fallback="error"))


def test_storage_asks_no_group_of_layers_that_have_none() -> None:
    overrides = (
        Override(layers=NAMES[2], weights="int8"),
        Override(layers=NAMES[4], weights="float"),
    )
    recipe = Recipe(fallback="error", overrides=overrides)
    assert types(recipe) == ["int8", "int4", "int8", "int4", "float", "int8"]


def test_storage_takes_the_backup_where_a_types_only_group_does_not_divide() -> None:
    assert types(Recipe(weights="mxfp4")) == ["int8", "mxfp4", "mxfp4", "mxfp4", "int8", "int8"]
    assert types(Recipe(weights="cb4"))[1:5] == ["cb4"] * 4


@pytest.mark.parametrize(
    ("group_size", "inputs", "group"),
    [(64, 576, 64), (128, 576, 64), (128, 1536, 128), (128, 80, 16), (64, 72, None), (96, 288, 96),
     (48, 4096, None), (-1, 7, -1)],
)  # fmt: skip
def test_group_is_the_one_asked_for_or_the_largest_power_of_two(
    group_size: int, inputs: int, group: int | None
) -> None:
    assert group_of(layer("a", inputs=inputs), Recipe(group_size=group_size)) == group
