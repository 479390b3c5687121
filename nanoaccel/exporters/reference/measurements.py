"""Measures the original while it is loaded: texts, predictions, sensitivities.

What an earlier run measured is not measured again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from nanoaccel.calibration.reference import Reference, record, reference_path
from nanoaccel.calibration.rounding import Rounding
from nanoaccel.calibration.sensitivity import Sensitivity, measure_sensitivity
from nanoaccel.exporters.progress import Progress, Tell
from nanoaccel.exporters.quantize.compression import Calibration
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.reference.encoder import ModelEncoder
from nanoaccel.exporters.source.original_key import graph_key, original_key
from nanoaccel.folders import cache_folder, kept_if_possible

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from nanoaccel.exporters.reference.options import CaptureOptions

# Tokens over which units are measured: two seconds for a small model.
_SENSITIVITY_TOKENS = 256
_METHOD = "gradients"  # names what was measured earlier in other ways


@dataclass(frozen=True, slots=True)
class Original:
    """The loaded original.

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


def choose_texts(
    original: Original, folder: Path, capture: CaptureOptions, tell: Tell
) -> tuple[CalibrationData, CalibrationData | None]:
    """Windows to judge with, and those to calibrate with where a recipe needs them."""
    encoder = ModelEncoder(folder)
    judge = judging_windows(capture.options, encoder, capture.judge_tokens, original.context)
    if not capture.calibration and not capture.sensitivity:
        return judge, None
    return judge, _samples(original, encoder, capture.options, tell)


def _samples(
    original: Original, encoder: TextEncoder, options: CalibrationOptions, tell: Tell
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


def predictions(original: Original, judge: CalibrationData, tell: Tell) -> Reference:
    """The original's predictions, from an earlier run if there was one."""
    model = original.model
    path = reference_path(original_key(original.content), str(model.dtype), judge.digest)
    known = Reference.load(path, judge.held_out)
    if known is not None:
        return known
    size = sum(weight.nbytes for weight in model.parameters())
    found = record(model, judge.name, judge.held_out, lambda done: tell(done, size=size))
    with kept_if_possible():
        found.save(path)
    return found


def sensitivities(
    original: Original, capture: CaptureOptions, data: CalibrationData | None, progress: Progress
) -> list[Sensitivity]:
    """Sensitivity of each unit, if it is needed; from an earlier run if there was one."""
    if data is None or not capture.sensitivity:
        return []
    recipe = capture.recipe
    few = Rounding(int(recipe.traits.bits), recipe.group, recipe.symmetric)
    backup = Rounding(8, -1, recipe.symmetric)
    count = max(1, _SENSITIVITY_TOKENS // len(data.samples[0]))
    name = f"{original_key(original.content)} {original.model.dtype}"
    what = json.dumps([_METHOD, name, data.digest, asdict(few), asdict(backup), count])
    file = file_of(cache_folder() / "sensitivity", what)
    with progress.stage("measure how sensitive layers are") as tell, quiet():
        found = load_or_none(file, _units)
        if found is None:
            size = sum(weight.nbytes for weight in original.model.parameters())
            found = measure_sensitivity(
                original.model,
                data.samples[:count],
                few,
                backup,
                lambda done: tell(done, size=size),
            )
            store_json(file, [asdict(unit) for unit in found])
    return found


def _units(found: Any) -> list[Sensitivity]:
    return [Sensitivity(tuple(unit["layers"]), unit["kl"], unit["kl_backup"]) for unit in found]


def _end_ids(model: PreTrainedModel) -> tuple[int, ...]:
    found = model.generation_config.eos_token_id if model.generation_config else None
    if found is None:
        return ()
    return tuple(found) if isinstance(found, list) else (found,)


def calibration_of(data: CalibrationData | None, content: str) -> Calibration | None:
    """Samples for calibrated recipes, and where their statistics are cached; None without any."""
    if data is None:
        return None
    name = f"{graph_key(content)[:32]}-{data.digest[:16]}"
    folder = cache_folder() / "calibration" / name
    return Calibration(data.samples, folder)
