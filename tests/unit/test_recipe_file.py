"""Recipes by name and from files."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from nanoaccel import config_file
from nanoaccel.errors import ConfigError
from nanoaccel.exporters.quantize import recipe_file
from nanoaccel.exporters.quantize.recipe import PRESETS, Override, Recipe
from nanoaccel.exporters.quantize.recipe_file import (
    describe_presets,
    read_recipe,
    recipe_from,
    recipe_to_json,
)

FULL = Recipe(
    weights="nf4",
    symmetric=False,
    group_size=32,
    fallback="backup",
    methods=("awq", "gptq"),
    embeddings="same",
    last_layer="float",
    backup="float",
    overrides=(
        Override(layers="*.down_proj", weights="int8"),
        Override(layers="lm_head", weights="nf4"),
    ),
    target_size=88_000_000,
)


def write(folder: Path, text: str, name: str = "mine.toml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", PRESETS)
def test_read_recipe_knows_the_presets(name: str) -> None:
    assert read_recipe(name) == PRESETS[name]


def test_describe_presets_says_what_each_means() -> None:
    described = describe_presets()
    assert [name for name, _ in described] == list(PRESETS)
    assert all(10 < len(meaning) < 90 for _, meaning in described)


def test_read_recipe_reads_toml(tmp_path: Path) -> None:
    text = """
        weights = "nf4"
        symmetric = false
        group_size = 32
        fallback = "backup"
        methods = ["awq", "gptq"]
        embeddings = "same"
        last_layer = "float"
        backup = "float"
        target_size = "88MB"
        [[overrides]]
        layers = "*.down_proj"
        weights = "int8"
        [[overrides]]
        layers = "lm_head"
        weights = "nf4"
    """
    assert read_recipe(write(tmp_path, text)) == FULL


@pytest.mark.parametrize("recipe", [FULL, Recipe(), *PRESETS.values(), Recipe(max_kl=0.1)])
def test_read_recipe_gives_what_was_written_as_json(tmp_path: Path, recipe: Recipe) -> None:
    assert read_recipe(write(tmp_path, recipe_to_json(recipe), "mine.json")) == recipe
    assert recipe_from(json.loads(json.dumps(asdict(recipe)))) == recipe
    assert recipe_from(asdict(recipe)) == recipe


def test_read_recipe_knows_each_field(tmp_path: Path) -> None:
    assert set(recipe_file._KINDS) == {field.name for field in fields(Recipe)}
    assert read_recipe(write(tmp_path, "")) == Recipe()


def test_read_recipe_changes_a_preset(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, 'preset = "balanced"\ngroup_size = 32\n'))
    assert recipe.group_size == 32
    assert recipe.methods == PRESETS["balanced"].methods


def test_read_recipe_replaces_the_limits_of_a_preset(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, 'preset = "accurate"\nmax_kl = 1\n'))
    assert (recipe.max_kl, recipe.target_bits) == (1, None)
    assert recipe.methods == PRESETS["accurate"].methods
    assert read_recipe(write(tmp_path, 'preset = "accurate"\nshare = 1.0\n')).mixed is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weigths = 'int4'", r"key 'weigths' is unknown\. Did you mean 'weights'\?"),
        ("presets = 'fast'", r"key 'presets' is unknown\. Did you mean 'preset'\?"),
        ("weights = 4", "weights=4 has the wrong type. Write a name in quotes"),
        ("weights = 'int5'", r"weights='int5' is unknown"),
        ("symmetric = 1", "symmetric=1 has the wrong type. Write true or false"),
        ("symmetric = 'yes'", "symmetric='yes' has the wrong type"),
        ("group_size = 32.0", r"group_size=32\.0 has the wrong type. Write a whole number"),
        ("group_size = true", "group_size=True has the wrong type"),
        ("group_size = 33", "group_size=33 is not a multiple of 16"),
        ("share = '0.5'", "share='0.5' has the wrong type. Write a number"),
        ("share = 2", "share=2 is out of range"),
        ("methods = 'awq'", "methods='awq' has the wrong type. Write a list of names"),
        ("methods = [1]", r"methods=\[1\] has the wrong type"),
        ("target_size = 1.5", "target_size=1.5 has the wrong type. Write bytes, or a size"),
        ("target_size = '9 miles'", "target_size '9 miles' is not a size"),
        ("preset = 3", "preset=3 has the wrong type"),
        ("preset = 'fats'", r"preset='fats' is unknown\. Did you mean 'fast'\?"),
        ("overrides = 'lm_head'", "overrides='lm_head' has the wrong type"),
        ("overrides = ['lm_head']", "overrides='lm_head' has the wrong type"),
        ("[[overrides]]\nlayers = 'lm_head'", "has the wrong type. Write a list of tables"),
        ("[[overrides]]\nlayer = 'x'\nweights = 'int8'", "key 'layer' of an override is unknown"),
        ("[[overrides]]\nlayers = 1\nweights = 'int8'", "has the wrong type"),
        ("[[overrides]]\nlayers = 'x'\nweights = 'int3'", "override='int3' is unknown"),
        ("share = 0.5\nmax_kl = 0.1", "limits contradict each other"),
        ("preset = 'balanced'\nweights = 'fp8'", "method 'awq' does not go with weights='fp8'"),
    ],
)
def test_read_recipe_names_the_file_and_what_is_wrong(
    tmp_path: Path, text: str, message: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_recipe(path)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.toml", "weights = 'int4'\nshare = = 1\n", 2),
        ("a.toml", "weights = 'int4'\n\nmethods = [", 3),
        ("a.json", '{\n"weights": "int4",\n"share" 1}', 3),
        ("a.json", "", 1),
    ],
)
def test_read_recipe_names_the_line_that_is_broken(
    tmp_path: Path, name: str, text: str, line: int
) -> None:
    path = write(tmp_path, text, name)
    with pytest.raises(ConfigError, match=f"is broken in line {line}: ") as caught:
        read_recipe(path)
    assert path in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "3", '"fast"', "null"])
def test_read_recipe_refuses_json_that_is_no_table(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="is no table of keys and values"):
        read_recipe(write(tmp_path, text, "a.json"))


@pytest.mark.parametrize("name", ["blanced", "missing.toml", ""])
def test_read_recipe_lists_the_presets_when_there_is_no_such_file(name: str) -> None:
    with pytest.raises(ConfigError, match="fast, balanced, accurate, smallest"):
        read_recipe(name)


def test_read_recipe_refuses_other_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is no \.toml or \.json file"):
        read_recipe(write(tmp_path, "weights: int4", "a.yaml"))
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read: it is not UTF-8"):
        read_recipe(str(tmp_path / "a.json"))


def test_read_recipe_without_a_parser_of_toml_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(config_file, "import_module", absent)
    with pytest.raises(ConfigError, match="Install tomli"):
        read_recipe(write(tmp_path, "share = 1"))


def test_read_recipe_takes_the_parser_that_this_python_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def note(name: str) -> Any:
        asked.append(name)
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(config_file, "import_module", note)
    for version in ((3, 10), (3, 11)):
        monkeypatch.setattr(sys, "version_info", version)
        with pytest.raises(ConfigError, match="no parser of TOML"):
            read_recipe(write(tmp_path, ""))
    assert asked == ["tomli", "tomllib"]
