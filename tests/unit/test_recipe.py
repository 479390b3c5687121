from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.quantize.methods import methods_for
from nanoaccel.exporters.quantize.recipe import PRESET_MEANINGS, PRESETS, Override, Recipe
from nanoaccel.exporters.quantize.weight_types import FLOATS, TRAITS
from nanoaccel.registry import COMPRESSION_METHODS

BY_NEAREST = ("f32", "f16", "bf16", "int8", "fp8", "mxfp8", "fp4", "mxfp4", "nvfp4")
CALIBRATED = ("int4", "nf4", "cb4", "int3", "int2")
# What NNCF's OpenVINO backend refuses, from its own checks.
REFUSED = [
    *((weights, (method,)) for weights in BY_NEAREST for method in COMPRESSION_METHODS.names()),
    ("cb4", ("lora-correction",)),
    *((weights, ("gptq", "lora-correction")) for weights in CALIBRATED),
    *((weights, ("awq", "awq")) for weights in CALIBRATED),
]


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe(), "int4 symmetric, groups of 64"),
        (Recipe(group_size=-1, symmetric=False), "int4 asymmetric, scale for a row"),
        (Recipe(weights="int8"), "int8 symmetric"),
        (Recipe(weights="bf16"), "bf16"),
        (Recipe(weights="nf4"), "nf4, groups of 64"),
        (Recipe(weights="mxfp4"), "mxfp4, groups of 32"),
        (Recipe(weights="cb4", methods=("awq",)), "cb4, scale for a row, awq"),
        (Recipe(methods=("awq", "gptq")), "int4 symmetric, groups of 64, awq + gptq"),
        (Recipe(share=0.5), "int4 symmetric, groups of 64, share 0.5"),
        (Recipe(share=0), "int4 symmetric, groups of 64, share 0"),
        (
            Recipe(max_kl=0.1, min_agreement=0.9),
            "int4 symmetric, groups of 64, KL at most 0.1, agreement at least 0.9",
        ),
    ],
)
def test_recipe_describes_itself(recipe: Recipe, words: str) -> None:
    assert recipe.describe() == words


@pytest.mark.parametrize(("weights", "methods"), REFUSED)
def test_recipe_refuses_methods_that_nncf_refuses(weights: Any, methods: Any) -> None:
    with pytest.raises(ConfigError, match=r"go with|go together|named twice"):
        Recipe(weights=weights, methods=methods)


@pytest.mark.parametrize("weights", CALIBRATED)
def test_recipe_takes_each_method_that_its_type_can_be_made_with(weights: Any) -> None:
    for method in methods_for(weights):
        assert Recipe(weights=weights, methods=(method,)).calibrated
    assert Recipe(weights=weights, methods=("awq", "scale-estimation", "gptq")).calibrated


def test_recipe_names_the_types_that_a_method_goes_with() -> None:
    with pytest.raises(ConfigError, match="can choose numbers for: int4, nf4, int3, int2"):
        Recipe(weights="cb4", methods=("lora-correction",))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"weights": "int5"}, r"weights='int5' is unknown\. Did you mean 'int"),
        ({"methods": ("gtpq",)}, r"method='gtpq' is unknown\. Did you mean 'gptq'\?"),
        ({"embeddings": "int4"}, "embeddings='int4' is unknown"),
        ({"last_layer": "f16"}, "last_layer='f16' is unknown"),
        ({"backup": "same"}, "backup='same' is unknown"),
        ({"fallback": "larger"}, "fallback='larger' is unknown"),
        ({"overrides": (Override(layers="*", weights="nf4"),)}, "override='nf4' is unknown"),
    ],
)
def test_recipe_refuses_an_unknown_choice(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Recipe(**values)


@pytest.mark.parametrize("size", [0, 8, 33, -2])
def test_recipe_refuses_a_group_size_that_no_kernel_has(size: int) -> None:
    with pytest.raises(ConfigError, match=f"group_size={size} is not a multiple of 16"):
        Recipe(group_size=size)


@pytest.mark.parametrize(
    ("weights", "fixed", "wrong"),
    [
        ("mxfp4", 32, (16, 64, -1)),
        ("mxfp8", 32, (16, 64, -1)),
        ("nvfp4", 16, (32, 64, -1)),
        ("cb4", -1, (16, 32, 64)),
        ("int8", -1, (32, 128)),
    ],
)
def test_recipe_refuses_another_group_size_than_its_type_has(
    weights: Any, fixed: int, wrong: tuple[int, ...]
) -> None:
    assert Recipe(weights=weights, group_size=fixed) == replace(
        Recipe(weights=weights), group_size=fixed
    )
    assert Recipe(weights=weights).group == fixed
    for size in wrong:
        with pytest.raises(ConfigError, match=f"group_size={size} does not go with"):
            Recipe(weights=weights, group_size=size)


@pytest.mark.parametrize("weights", ["int4", "nf4", "fp4", "fp8", "int3", "int2"])
def test_recipe_takes_groups_and_rows_where_the_type_leaves_the_choice(weights: Any) -> None:
    assert [Recipe(weights=weights, group_size=size).group for size in (16, 96, -1, None)] == [
        16, 96, -1, 64,
    ]  # fmt: skip


LIMITS: list[tuple[str, Any]] = [
    ("share", 0.5), ("target_bits", 5.0), ("target_size", 10**8), ("max_kl", 0.1),
    ("min_agreement", 0.9),
]  # fmt: skip
FIDELITY = {"max_kl", "min_agreement"}


@pytest.mark.parametrize("first", LIMITS)
@pytest.mark.parametrize("second", LIMITS)
def test_recipe_refuses_limits_that_contradict_each_other(
    first: tuple[str, Any], second: tuple[str, Any]
) -> None:
    limits = dict([first, second])
    if len(limits) == 1 or set(limits) == FIDELITY:
        assert Recipe(**limits).mixed
        return
    with pytest.raises(ConfigError, match="limits contradict each other"):
        Recipe(**limits)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("weights", [*FLOATS, "int8", "fp8", "mxfp8"])
def test_recipe_refuses_limits_where_the_backup_has_no_more_bits(
    weights: Any, limit: tuple[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="limits do not go with"):
        Recipe(weights=weights, **dict([limit]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("share", -0.1), ("share", 1.1), ("share", float("nan")), ("target_bits", 0.5),
        ("target_bits", 33.0), ("target_size", 0), ("max_kl", 0.0), ("min_agreement", 1.0),
        ("min_agreement", -0.5),
    ],
)  # fmt: skip
def test_recipe_refuses_a_limit_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name}={value} is out of range. Choose"):
        Recipe(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", FLOATS)
def test_recipe_refuses_overrides_of_what_is_not_compressed(weights: Any) -> None:
    with pytest.raises(ConfigError, match="overrides do not go with"):
        Recipe(weights=weights, overrides=(Override(layers="*", weights="float"),))


def test_with_target_leaves_no_other_limit() -> None:
    for recipe in (Recipe(share=0.5), Recipe(target_bits=5), Recipe(max_kl=0.1)):
        assert recipe.with_target(10**6) == Recipe(target_size=10**6)


def test_note_tells_of_types_that_save_no_memory() -> None:
    told = {name for name in TRAITS if Recipe(weights=name).note}  # type: ignore[arg-type]
    assert told == {"fp8", "mxfp8", "cb4", "int3"}


def test_bytes_for_counts_scales_and_an_embedding() -> None:
    assert Recipe(weights="f32").bytes_for(1000) == 4000
    assert Recipe(weights="bf16").bytes_for(1000) == 2000
    assert Recipe(weights="int8").bytes_for(1000) == 1000
    assert 500 < Recipe().bytes_for(1000) < 1000


def test_bits_with_scales_counts_what_a_group_shares() -> None:
    assert TRAITS["int4"].bits_with_scales(64, symmetric=True) == 4.25
    assert TRAITS["int4"].bits_with_scales(64, symmetric=False) == 4.3125
    assert TRAITS["int4"].bits_with_scales(-1, symmetric=False) == 4
    assert TRAITS["nf4"].bits_with_scales(64, symmetric=False) == 4.25
    assert TRAITS["mxfp4"].bits_with_scales(32, symmetric=True) == 4.25


def test_presets_have_meanings_and_one_is_the_default() -> None:
    assert list(PRESETS) == list(PRESET_MEANINGS) == ["fast", "balanced", "accurate", "smallest"]
    assert PRESETS["fast"] == Recipe()
    assert len(set(PRESETS.values())) == 4
