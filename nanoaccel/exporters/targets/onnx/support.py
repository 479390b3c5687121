"""Which weights can become those of an ONNX graph."""

from __future__ import annotations

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.quantize.recipe import Recipe

WEIGHTS = ("f32", "f16", "bf16", "int8", "int4", "nf4", "mxfp4")


def check_recipe(recipe: Recipe) -> None:
    """Refuse weights that ONNX Runtime cannot compute with.

    Raises:
        ConfigError: The type or a method of the recipe is one of these.
    """
    if recipe.weights not in WEIGHTS:
        raise ConfigError(
            f"weights={recipe.weights!r} do not go with runtime='onnx'",
            f"ONNX Runtime computes with {', '.join(WEIGHTS)}",
        )
    if recipe.weights in ("nf4", "mxfp4") and recipe.embeddings == "same":
        raise ConfigError(
            f"embeddings='same' do not go with weights={recipe.weights!r} and runtime='onnx'",
            "ONNX Runtime looks up in int8 and floats: choose one of them for embeddings",
        )
    if "lora-correction" in recipe.methods:
        raise ConfigError(
            "method 'lora-correction' does not go with runtime='onnx'",
            "Choose awq, scale-estimation or gptq",
        )
