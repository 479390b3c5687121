"""All that an export needs of the original model, taken while it is loaded."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.cached_json import file_of, load_or_none, store_json
from nanoaccel.calibration.datasets import (
    CalibrationData,
    CalibrationOptions,
    PromptFrame,
    TextEncoder,
    cached_windows,
    judging_windows,
    load_calibration,
    token_cache_folder,
    write_own_text,
)
from nanoaccel.calibration.probes import Probes
from nanoaccel.calibration.reference import Reference, record, reference_path
from nanoaccel.calibration.sensitivity import Rounding, Sensitivity, measure_sensitivity
from nanoaccel.errors import SourceError
from nanoaccel.exporters.progress import Progress, Tell
from nanoaccel.exporters.quantize.compression import Calibration
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quantize.weight_types import FLOATS
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.reference.encoder import HubEncoder
from nanoaccel.exporters.source import model_source as sources
from nanoaccel.exporters.source.fingerprint import fingerprint
from nanoaccel.exporters.source.original_key import content_key, graph_key, original_key
from nanoaccel.exporters.targets.base import LoadedOriginal
from nanoaccel.exporters.targets.probing import original_answers, probes_for
from nanoaccel.exporters.targets.table import BASE, with_sources
from nanoaccel.folders import cache_folder, kept_if_possible

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from nanoaccel.exporters.source.model_source import Source
    from nanoaccel.exporters.source.prequantized import PackedWeight

# Tokens over which each unit is measured: half a second for a small model.
_SENSITIVITY_TOKENS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureOptions:
    """What recipes will ask for.

    Args:
        recipe: Types and layout; the first that is tried.
        calibration: Whether any recipe is calibrated.
        sensitivity: Whether any gives layers different types.
        options: Which text to calibrate with.
        judge_tokens: Tokens to judge with.
        targets: Names of the targets that graphs will be made for.
    """

    recipe: Recipe
    calibration: bool
    sensitivity: bool
    options: CalibrationOptions
    judge_tokens: int
    targets: tuple[str, ...] = (BASE.name,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelArtifacts:
    """What is left when the original is freed.

    Args:
        captured: Folder with a folder for each target, of what it took of the original.
        parameters: Weights of the original.
        fingerprint: Names these weights.
        content: Names the original: weights, configuration and tokenizer.
        reference: What the original predicts over the text that judges.
        calibration: Samples, where a recipe needs them.
        text: What the samples are.
        digest: Names the text that judges and the samples.
        sensitivity: Of each unit, where it was measured.
        packed: Weights that stay as a checkpoint had them, by module.
        probes: What the engine will be asked.
        answers: What the original answers, f32[R, V], where the recipe keeps its weights.
    """

    captured: Path
    parameters: int
    fingerprint: str
    content: str
    reference: Reference
    calibration: Calibration | None
    text: str | None
    digest: str
    sensitivity: Sequence[Sensitivity]
    packed: Mapping[str, PackedWeight]
    probes: Probes
    answers: NDArray[np.float32] | None

    def discard(self) -> None:
        """Delete what was captured."""
        shutil.rmtree(self.captured, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Original:
    """The model, and what is known of it.

    Args:
        model: Its weights are loaded.
        content: Names it: weights, configuration and tokenizer.
        end_ids: Tokens that end a text, where the tokenizer's source says so.
        context: Tokens that it can attend to.
    """

    model: PreTrainedModel
    content: str
    end_ids: tuple[int, ...]
    context: int


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
        folder: Of the bundle in the making; its tokenizer is there.
        capture: What recipes will ask for.
        end_ids: Tokens that end a text, where the tokenizer's source says so.
        context: Tokens that it can attend to.
        progress: Is told.

    Raises:
        SourceError: The weights cannot be read, or are no numbers.
        ConfigError: The text does not fit.
    """
    with progress.stage("load the weights"), quiet():
        model, packed = sources.load(source, capture.recipe.weights, end_ids)
        _check_finite(model)
        name = fingerprint(model)
        content = content_key(source)
        original = _Original(model, content, end_ids, context)
        parameters = model.num_parameters()
    with progress.stage("choose the text") as tell, quiet():
        judge, data = _texts(original, folder, capture, tell)
        _check_tokens(config, judge, data)
    probes = probes_for(config, judge, context)
    with progress.stage("run the original") as tell, quiet():
        reference = _reference(original, judge, tell)
    answers = None
    if capture.recipe.weights in FLOATS:
        with progress.stage("run the original over the probes"), quiet():
            answers = original_answers(model, probes)
    sensitivity = _sensitivity(original, capture, data, progress)
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
        reference=reference,
        calibration=_calibration(data, content),
        text=None if data is None else data.name,
        digest=sha256(f"{judge.digest} {data and data.digest}".encode()).hexdigest(),
        sensitivity=sensitivity,
        packed=packed,
        probes=probes,
        answers=answers,
    )


def _texts(
    original: _Original, folder: Path, capture: CaptureOptions, tell: Tell
) -> tuple[CalibrationData, CalibrationData | None]:
    """Windows to judge with, and those to calibrate with where a recipe needs them."""
    encoder = HubEncoder(folder)
    judge = judging_windows(capture.options, encoder, capture.judge_tokens, original.context)
    if not capture.calibration and not capture.sensitivity:
        return judge, None
    return judge, _samples(original, encoder, capture.options, tell)


def _samples(
    original: _Original, encoder: TextEncoder, options: CalibrationOptions, tell: Tell
) -> CalibrationData:
    """Windows to calibrate with."""
    model = original.model
    frame = PromptFrame.of(encoder, original.end_ids or _end_ids(model))

    def own_text(windows: int) -> Sequence[object]:
        name = original_key(original.content)
        key = f"{name} {model.dtype} {frame} {windows} {options.length} {options.seed}"
        return cached_windows(
            token_cache_folder(),
            key,
            (windows, options.length),
            lambda: write_own_text(
                model,
                frame,
                windows=windows,
                length=options.length,
                seed=options.seed,
                tick=lambda done: tell(done, "the model writes it"),
            ),
        )

    return load_calibration(options, encoder, context=original.context, own_text=own_text)  # type: ignore[arg-type]


def _reference(original: _Original, judge: CalibrationData, tell: Tell) -> Reference:
    """What the original predicts, from an earlier run where there was one."""
    model = original.model
    path = reference_path(original_key(original.content), str(model.dtype), judge.digest)
    known = Reference.load(path, judge.held_out)
    if known is not None:
        return known
    found = record(model, judge.name, judge.held_out, tell)
    with kept_if_possible():
        found.save(path)
    return found


def _sensitivity(
    original: _Original, capture: CaptureOptions, data: CalibrationData | None, progress: Progress
) -> list[Sensitivity]:
    """Of each unit where it is capture, from an earlier run where there was one."""
    if data is None or not capture.sensitivity:
        return []
    recipe = capture.recipe
    few = Rounding(int(recipe.traits.bits), recipe.group, recipe.symmetric)
    backup = Rounding(8, -1, recipe.symmetric)
    count = max(1, _SENSITIVITY_TOKENS // len(data.samples[0]))
    name = f"{original_key(original.content)} {original.model.dtype}"
    what = json.dumps([name, data.digest, asdict(few), asdict(backup), count])
    file = file_of(cache_folder() / "sensitivity", what)
    with progress.stage("measure how sensitive layers are") as tell, quiet():
        found = load_or_none(file, _units)
        if found is None:
            found = measure_sensitivity(original.model, data.samples[:count], few, backup, tell)
            store_json(file, [asdict(unit) for unit in found])
    return found


def _units(found: Any) -> list[Sensitivity]:
    return [Sensitivity(tuple(unit["layers"]), unit["kl"], unit["kl_backup"]) for unit in found]


def _calibration(data: CalibrationData | None, content: str) -> Calibration | None:
    if data is None:
        return None
    name = f"{graph_key(content)[:32]}-{data.digest[:16]}"
    folder = cache_folder() / "calibration" / name
    return Calibration(data.samples, folder)


def _end_ids(model: PreTrainedModel) -> tuple[int, ...]:
    found = model.generation_config.eos_token_id if model.generation_config else None
    if found is None:
        return ()
    return tuple(found) if isinstance(found, list) else (found,)


def _check_finite(model: PreTrainedModel) -> None:
    for name, weight in model.named_parameters():
        if not bool(weight.isfinite().all()):
            raise SourceError(
                f"the weights of {name} are not all numbers (NaN or infinite)",
                "The checkpoint is damaged, or was trained to overflow: take another one",
            )


def _check_tokens(
    config: PretrainedConfig, judge: CalibrationData, data: CalibrationData | None
) -> None:
    """Refuse a tokenizer that gives tokens that the model has not."""
    windows = [*judge.held_out, *(() if data is None else data.samples)]
    highest = max(int(window.max()) for window in windows)
    size = config.get_text_config().vocab_size
    if highest >= size:
        raise SourceError(
            f"the tokenizer gives token {highest}, and the model has {size} tokens",
            "The tokenizer is another model's",
        )
