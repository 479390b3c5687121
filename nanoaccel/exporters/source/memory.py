"""Whether an export fits this machine, asked before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nanoaccel.errors import ExportError
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.source.hollow import make_hollow

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from nanoaccel.exporters.source.model_source import Source

_LIBRARIES = 1.2e9  # torch, transformers, OpenVINO and NNCF themselves, bytes


def check_memory(
    source: Source,
    config: PretrainedConfig,
    parameters: int,
    recipe: Recipe,
    available: int | None = None,
    *,
    building: float = 0.0,
) -> int:
    """Refuse an export that would not fit.

    Args:
        source: Source of the model.
        config: Configuration of the model.
        parameters: Its weights.
        recipe: What it shall become.
        available: Bytes that may be used; None asks the system.
        building: Bytes that other processes take while they make graphs.

    Returns:
        The bytes that it is expected to take.

    Raises:
        ExportError: It would take more than is available.
    """
    needed = expected_memory(parameters, weight_bytes(source, config, recipe), recipe, building)
    if available is None:
        import psutil

        available = int(psutil.virtual_memory().available)
    if needed > available:
        raise ExportError(
            f"the export of {parameters / 1e9:.2f} billion weights needs about "
            f"{needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are available",
            "Close other programs, use a larger machine, or a recipe without methods",
        )
    return needed


def expected_memory(parameters: int, loaded: int, recipe: Recipe, building: float = 0.0) -> int:
    """Bytes at the peak of an export.

    While it is loaded and traced, a model is there once, beside what the tracing adds. While it is
    calibrated, OpenVINO runs it from f32.

    Args:
        parameters: Weights of the model.
        loaded: Bytes of each, as it is loaded.
        recipe: What it shall become.
        building: Bytes that other processes take while they make graphs.
    """
    tracing = 1.5 * parameters * loaded
    running = parameters * (loaded + 4.0) if recipe.calibrated else parameters * 4.0
    return int(_LIBRARIES + max(tracing, running, building))


def empty_model(config: PretrainedConfig) -> PreTrainedModel:
    """A model of this configuration whose weights have shapes only.

    Raises:
        UnsupportedModelError: There is no such model.
    """
    model = make_hollow(config)
    model.tie_weights()
    return model


def count_parameters(config: PretrainedConfig) -> int:
    """Weights of a model of this configuration; none is made.

    Raises:
        UnsupportedModelError: There is no such model.
    """
    return int(empty_model(config).num_parameters())


def weight_bytes(source: Source, config: PretrainedConfig, recipe: Recipe) -> int:
    """Bytes of one weight as it is loaded, and as the traced graph keeps it."""
    if recipe.weights in ("f16", "bf16"):
        return 2
    if recipe.weights == "f32" or source.gguf is not None:
        return 4
    return 2 if str(config.dtype).endswith("16") else 4
