"""Loads a model to train or to change, and writes it as a folder that can be exported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.exporters.quantize.weight_types import WeightType
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.source.model_source import Source, load
from nanoaccel.exporters.source.tokenizer_files import write_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_float(source: Source, weights: WeightType) -> PreTrainedModel:
    """The model with float weights, quantized or not where it is.

    Args:
        source: Where it is.
        weights: "f32" or "bf16"; "int8" keeps each in its own type.

    Raises:
        SourceError: It cannot be read.
    """
    with quiet():
        return load(source, weights)[0]


def write_model(model: PreTrainedModel, source: Source, folder: Path) -> None:
    """Write a model's weights, configuration and tokenizer.

    Args:
        model: What was made of the source's weights.
        source: Where its tokenizer is.
        folder: Stands already.
    """
    with quiet():
        model.save_pretrained(folder)
        write_tokenizer(source, folder)
