from __future__ import annotations

from nanoaccel.errors import ExportError, UnsupportedModelError
from nanoaccel.exporters.quantize.defaults import default_recipe, obstacle_to_target
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quantize.requirements import missing_modules, remedy_for


def fits(_: Recipe) -> None:
    """All do."""


def test_default_recipe_gives_more_bits_to_smaller_models() -> None:
    shares = [default_recipe(int(n * 1e9), fits).share for n in (0.1, 1, 3, 8)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1] < 1


def test_default_recipe_is_calibrated_where_that_fits_into_memory() -> None:
    def scarce(recipe: Recipe) -> None:
        if recipe.calibrated:
            raise ExportError("too little memory")

    assert default_recipe(10**9, fits).methods == ("scale-estimation",)
    rounded = default_recipe(10**9, scarce)
    assert rounded.methods == ()
    assert rounded.share == default_recipe(10**9, fits).share


def test_obstacle_to_target_is_what_the_check_says() -> None:
    def refuse() -> None:
        raise UnsupportedModelError("no such builder")

    assert obstacle_to_target((), lambda: None) is None
    assert obstacle_to_target((), refuse) == "no such builder"


def test_obstacle_to_target_names_what_is_not_installed() -> None:
    assert obstacle_to_target(("sys", "no_such_module"), lambda: None) == (
        "not installed: no_such_module"
    )
    assert missing_modules(("sys", "json")) == []


def test_old_python_is_told_to_export_with_a_newer_one() -> None:
    assert "Python 3.11" in remedy_for((3, 10))
    assert "pip install" in remedy_for((3, 11))
