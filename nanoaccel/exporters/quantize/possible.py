"""Refuses impossible requests before any weight is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.bundle import HEAD, Bundle
from nanoaccel.calibration.datasets import CalibrationOptions
from nanoaccel.calibration.datasets.load import check_length
from nanoaccel.calibration.datasets.options import SELF
from nanoaccel.calibration.datasets.sources import open_source
from nanoaccel.calibration.sensitivity import Sensitivity
from nanoaccel.errors import ConfigError
from nanoaccel.exporters.quantize.budget import SLACK, Budget
from nanoaccel.exporters.quantize.compression import Layer
from nanoaccel.exporters.quantize.recipe import PRESETS, Recipe
from nanoaccel.exporters.source import model_source as sources
from nanoaccel.exporters.source.memory import empty_model

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def check_text(options: CalibrationOptions, context: int) -> None:
    """Refuse a text that is not there, and windows that do not fit.

    Raises:
        ConfigError: A window is longer than the context, or the source is unknown.
        SourceError: There is no such file.
    """
    check_length(options, context)
    if options.source != SELF:
        open_source(options.source, options.column)


def check_draft(draft: str) -> None:
    """Refuse a draft that is not there.

    Raises:
        SourceError: It is no head, no bundle and no model.
    """
    folder = Path(draft)
    if (
        draft not in ("auto", "none")
        and not (folder / HEAD).is_file()
        and not Bundle.is_one(folder)
    ):
        sources.resolve(draft)


def check_budget(
    config: PretrainedConfig, recipe: Recipe, weight_bytes: int, *, searching: bool
) -> None:
    """Refuse a limit of size that no model of this configuration can keep.

    Args:
        config: Configuration of the model.
        recipe: With a limit.
        weight_bytes: Bytes of an original weight, as it is loaded.
        searching: Whether other recipes are tried too.

    Raises:
        ConfigError: The smallest weights file is larger.
    """
    if (recipe.target_size is None and recipe.target_bits is None) or recipe.overrides:
        return
    model = empty_model(config)
    parameters = int(model.num_parameters())
    if recipe.target_size is not None:
        most = recipe.target_size
    else:
        assert recipe.target_bits is not None
        most = int(recipe.target_bits * parameters / 8)
    tried = (recipe, *PRESETS.values()) if searching else (recipe,)
    least = min(_smallest(model, parameters, one, weight_bytes) for one in tried)
    if least > most:
        raise ConfigError(
            f"a weights file of {most / 1e6:.3g} MB is impossible with {recipe.weights}",
            f"The smallest is {least / 1e6:.3g} MB ({least * 8 / parameters:.2f} bits a weight)",
        )


def _smallest(model: PreTrainedModel, parameters: int, recipe: Recipe, weight_bytes: int) -> int:
    """A lower bound of a weights file, in bytes; what is in no matrix counts as compressed."""
    layers = _matrices(model)
    units = [Sensitivity((layer.name,), 0.0, 0.0) for layer in layers]
    in_layers = sum(layer.parameters for layer in layers)
    budget = Budget(layers, units, in_layers * weight_bytes - SLACK, weight_bytes)
    others = max(0, parameters - in_layers)
    return budget.range(recipe)[0] + int(others * recipe.traits.bits / 8)


def _matrices(model: PreTrainedModel) -> list[Layer]:
    """The layers that ``find_layers`` will find; a shared embedding is the last projection."""
    import torch

    from nanoaccel.exporters.targets.openvino.tracing.experts import is_computed, products_of

    first, last = model.get_input_embeddings(), model.get_output_embeddings()
    found = []
    for name, module in model.named_modules():
        if is_computed(module):
            for product in products_of(module):
                matrices, rows, columns = product.shape(module)
                label = f"{name}.{product.name}"
                found.append(Layer(label, "projection", (), rows, columns, matrices))
        weight = getattr(module, "weight", None)
        embedding = isinstance(module, torch.nn.Embedding)
        if weight is None or weight.ndim != 2 or (embedding and module is not first):
            continue
        if module is first and last is not None and last.weight is weight:
            continue
        kind = "last" if module is last else "embedding" if embedding else "projection"
        rows, columns = weight.shape
        if type(module).__name__ == "Conv1D":
            rows, columns = columns, rows
        found.append(Layer(name, kind, (), rows, columns))  # type: ignore[arg-type]
    return found
