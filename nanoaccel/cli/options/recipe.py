"""Options of the recipe: a preset or a file, and what is changed of it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any

from nanoaccel.cli.options.panels import in_limits, in_recipe
from nanoaccel.cli.options.plugged import plugged_names
from nanoaccel.errors import ConfigError
from nanoaccel.registry import COMPRESSION_METHODS
from nanoaccel.sizes import parse_bytes

if TYPE_CHECKING:
    from nanoaccel.exporters.quantize.recipe import Override, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeFlags:
    """How the weights are stored; None where a flag was not given."""

    recipe: Annotated[
        str | None,
        in_recipe(
            metavar="NAME|FILE",
            help="fast, balanced, accurate, smallest, or a .toml or .json file; the options below "
            "change it. Without any of them, weights are calibrated and the most sensitive layers "
            "keep 8 bits, as many as the size of the model asks for.",
        ),
    ] = None
    weights: Annotated[
        str | None,
        in_recipe(
            metavar="TYPE",
            help="Type of the projections' weights: int4, int8, nf4, mxfp4, fp4, nvfp4, int2, "
            "bf16, f16, f32; int3, cb4, fp8 and mxfp8 save disk only.",
            show_default="int4",
        ),
    ] = None
    symmetric: Annotated[
        bool | None,
        in_recipe(
            "--symmetric/--asymmetric",
            help="Integers centered on zero, or not: a little more accurate.",
        ),
    ] = None
    group_size: Annotated[
        int | None,
        in_recipe(help="Weights that share a scale; -1 is a whole row.", show_default="64"),
    ] = None
    method: Annotated[
        str | None,
        in_recipe(
            metavar="A+B",
            help="How numbers are chosen: rtn, or of awq, scale-estimation, gptq, lora-correction "
            f"those that you want.{plugged_names(COMPRESSION_METHODS)}",
            show_default="rtn",
        ),
    ] = None
    embeddings: Annotated[
        str | None,
        in_recipe(
            metavar="int8|same|float",
            help="Type of the embedding; same is that of the projections.",
            show_default="int8",
        ),
    ] = None
    last_layer: Annotated[
        str | None,
        in_recipe(
            metavar="int8|same|float", help="Type of the last projection.", show_default="int8"
        ),
    ] = None
    backup: Annotated[
        str | None,
        in_recipe(
            metavar="int8|float",
            help="Type of layers that are kept out of the smaller one.",
            show_default="int8",
        ),
    ] = None
    override: Annotated[
        list[str] | None,
        in_recipe(
            metavar="LAYERS=TYPE",
            help="Layers that are stored otherwise, such as 'model.layers.0.*=int8'; may be "
            "repeated.",
        ),
    ] = None
    share: Annotated[
        float | None,
        in_limits(help="Share of the projections' weights in the smaller type."),
    ] = None
    target_bits: Annotated[
        float | None,
        in_limits(help="Bits a weight at most, for the whole model."),
    ] = None
    target_size: Annotated[
        str | None,
        in_limits(metavar="SIZE", help="Size of the weights file at most, such as 88MB."),
    ] = None
    max_kl: Annotated[
        float | None,
        in_limits(help="Make the smallest model that diverges no more, nats a token."),
    ] = None
    min_agreement: Annotated[
        float | None,
        in_limits(
            help="Make the smallest model whose likeliest token is the same this often, 0 to 1."
        ),
    ] = None

    def build(self) -> Recipe | None:
        """The recipe; a limit takes the place of those of the preset or file.

        None when no flag says anything: the size of the model decides then.

        Raises:
            ConfigError: A value is wrong, or values do not go together.
        """
        from nanoaccel.exporters.quantize.recipe import LIMITS, Recipe
        from nanoaccel.exporters.quantize.recipe_file import read_recipe

        if all(getattr(self, field.name) in (None, []) for field in fields(self)):
            return None
        base = Recipe() if self.recipe is None else read_recipe(self.recipe)
        changes: dict[str, Any] = {
            name: value
            for name in (
                "weights", "symmetric", "group_size", "embeddings", "last_layer", "backup",
                "share", "target_bits", "max_kl", "min_agreement",
            )
            if (value := getattr(self, name)) is not None
        }  # fmt: skip
        if self.method is not None:
            changes["methods"] = _methods(self.method)
        if self.override:
            changes["overrides"] = (*base.overrides, *map(_override, self.override))
        if self.target_size is not None:
            changes["target_size"] = parse_bytes("--target-size", self.target_size)
        if any(name in changes for name in LIMITS):
            base = base.without_limits()
        return replace(base, **changes)


def _methods(text: str) -> tuple[str, ...]:
    """``awq+scale-estimation`` as a tuple; ``rtn`` is none."""
    names = [name.strip() for name in text.replace(",", "+").split("+") if name.strip()]
    return () if names == ["rtn"] else tuple(names)


def _override(text: str) -> Override:
    from nanoaccel.exporters.quantize.recipe import Override

    layers, separator, weights = text.rpartition("=")
    if not separator or not layers or not weights:
        raise ConfigError(
            f"--override {text!r} is not LAYERS=TYPE", "Write it as 'model.layers.0.*=int8'"
        )
    return Override(layers=layers, weights=weights)
