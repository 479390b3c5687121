"""What an export makes when the user does not say: by the size of the model and this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from nanoaccel.errors import ExportError, NanoAccelError
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quantize.requirements import missing_modules

# The smaller a model, the more 4 bits cost it. Up to so many weights, the share of the projections'
# weights that are stored in 4 bits; the most sensitive layers get 8. Measured for the smallest
# class; the shares of the others are chosen by what larger models are known to lose.
_SHARES = ((0.4e9, 0.5), (1.5e9, 0.65), (4e9, 0.8))
_SHARE_BEYOND = 0.9
# Groups of 32 with zero points lose least at equal size.
_DEFAULT = Recipe(symmetric=False, group_size=32, methods=("scale-estimation",))


def default_recipe(parameters: int, fits: Callable[[Recipe], object]) -> Recipe:
    """How the weights of a model are stored unless the user says otherwise.

    It is chosen so that an export loses no more than llama.cpp's Q4_K_M of the same model.

    Args:
        parameters: Weights of the model.
        fits: Raises ExportError for a recipe that does not fit into memory.

    Returns:
        Calibrated where calibration fits into memory, else rounded to nearest; the share of 4-bit
        weights grows with the model.
    """
    share = next((share for most, share in _SHARES if parameters <= most), _SHARE_BEYOND)
    recipe = replace(_DEFAULT, share=share)
    try:
        fits(recipe)
    except ExportError:
        return replace(recipe, methods=())
    return recipe


def obstacle_to_target(packages: Sequence[str], check: Callable[[], object]) -> str | None:
    """Why a model is not exported for a target here; None when it can be.

    Args:
        packages: Modules that an export needs for it.
        check: Raises what is in the way of the architecture or the recipe.
    """
    missing = missing_modules(packages)
    if missing:
        return f"not installed: {', '.join(missing)}"
    try:
        check()
    except NanoAccelError as error:
        return error.problem
    return None
