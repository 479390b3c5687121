"""Captures everything that an export needs of the original while it is loaded."""

from __future__ import annotations

import gc
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nanoaccel.calibration.datasets import CalibrationData
from nanoaccel.calibration.probes import Probes
from nanoaccel.errors import SourceError
from nanoaccel.exporters.progress import Progress
from nanoaccel.exporters.quantize.weight_types import FLOATS
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.reference.artifacts import ModelArtifacts
from nanoaccel.exporters.reference.measurements import (
    Original,
    calibration_of,
    choose_texts,
    predictions,
    sensitivities,
)
from nanoaccel.exporters.source import model_source as sources
from nanoaccel.exporters.source.fingerprint import fingerprint
from nanoaccel.exporters.source.original_key import content_key
from nanoaccel.exporters.targets.base import LoadedOriginal
from nanoaccel.exporters.targets.probing import original_answers, probes_for
from nanoaccel.exporters.targets.table import with_sources

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from nanoaccel.exporters.reference.options import CaptureOptions
    from nanoaccel.exporters.source.model_source import Source


def capture_artifacts(
    source: Source,
    config: PretrainedConfig,
    folder: Path,
    capture: CaptureOptions,
    end_ids: tuple[int, ...],
    context: int,
    progress: Progress,
) -> ModelArtifacts:
    """Load the original, run it, trace it, and free it.

    Args:
        source: Where it is.
        config: Its configuration.
        folder: Folder of the bundle in the making; its tokenizer is there.
        capture: What recipes will ask for.
        end_ids: Tokens that end a text, where the tokenizer's source says so.
        context: Tokens that it can attend to.
        progress: Progress of the export.

    Raises:
        SourceError: The weights cannot be read, or are no numbers.
        ConfigError: The text does not fit.
    """
    with progress.stage("load the weights"), quiet():
        model, packed = sources.load(source, capture.recipe.weights, end_ids)
        _check_finite(model)
        name, content = fingerprint(model), content_key(source)
        original = Original(model, content, end_ids, context)
        parameters = model.num_parameters()
    with progress.stage("choose the text") as tell, quiet():
        judge, data = choose_texts(original, folder, capture, tell)
        _check_tokens(config, judge, data)
    probes = probes_for(config, judge, context)
    with progress.stage("run the original") as tell, quiet():
        reference = predictions(original, judge, tell)
    answers = _answers(original, capture, probes, progress)
    sensitivity = sensitivities(original, capture, data, progress)
    captured, loaded = folder / "captured", LoadedOriginal(model, folder)
    for target in reversed(with_sources(capture.targets)):  # tracing may edit the model
        target.capture(loaded, captured / target.name, progress)
    del model, original, loaded
    gc.collect()
    return ModelArtifacts(
        captured=captured,
        parameters=parameters,
        fingerprint=name,
        content=content,
        context=context,
        reference=reference,
        calibration=calibration_of(data, content),
        text=None if data is None else data.name,
        digest=sha256(f"{judge.digest} {data and data.digest}".encode()).hexdigest(),
        sensitivity=sensitivity,
        packed=packed,
        probes=probes,
        answers=answers,
    )


def _answers(
    original: Original, capture: CaptureOptions, probes: Probes, progress: Progress
) -> NDArray[np.float32] | None:
    """The original's answers to the probes; None where the recipe changes its weights."""
    if capture.recipe.weights not in FLOATS:
        return None
    with progress.stage("run the original over the probes"), quiet():
        return original_answers(original.model, probes)


def _check_finite(model: PreTrainedModel) -> None:
    for name, weight in model.named_parameters():
        # Neither of them is finite where any number is not; no tensor of answers is made.
        if weight.numel() and not all(one.isfinite() for one in weight.detach().aminmax()):
            raise SourceError(
                f"the weights of {name} are not all numbers (NaN or infinite)",
                "The checkpoint is damaged, or was trained to overflow: take another one",
            )


def _check_tokens(
    config: PretrainedConfig, judge: CalibrationData, data: CalibrationData | None
) -> None:
    """Refuse a tokenizer that gives tokens that the model does not have."""
    windows = [*judge.held_out, *(() if data is None else data.samples)]
    highest = max(int(window.max()) for window in windows)
    size = config.get_text_config().vocab_size
    if highest >= size:
        raise SourceError(
            f"the tokenizer gives token {highest}, and the model has {size} tokens",
            "The tokenizer is another model's",
        )
