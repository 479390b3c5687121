"""The plan of an export: what can be refused is refused before any weight is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.calibration.datasets.options import CalibrationOptions
from nanoaccel.exporters.publish import check_space
from nanoaccel.exporters.quantize.defaults import default_recipe, obstacle_to_target
from nanoaccel.exporters.quantize.recipe import PRESETS, Recipe
from nanoaccel.exporters.reference.options import CaptureOptions
from nanoaccel.exporters.targets.options import ExportOptions
from nanoaccel.exporters.targets.table import BASE, beside_base, derived, target_of, with_sources

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from nanoaccel.exporters.progress import Progress
    from nanoaccel.exporters.source.model_source import Source
    from nanoaccel.exporters.source.prequantized import Checkpoint
    from nanoaccel.exporters.targets.base import GraphTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """A checked export: everything that can be refused without loading weights was refused.

    Args:
        model: What the user asked for.
        source: Where the model is.
        config: Its configuration.
        checkpoint: How its weights are quantized already; None when they are not.
        options: With the recipe and the targets settled.
        context: Tokens that the model can attend to.
        capture: What is needed of the original.
        memory: Bytes that the export should take.
        part: Description of what is left out of the model; empty when it is exported whole.
    """

    model: str
    source: Source
    config: PretrainedConfig
    checkpoint: Checkpoint | None
    options: ExportOptions
    context: int
    capture: CaptureOptions
    memory: int
    part: str


def plan_export(model: str, folder: Path, options: ExportOptions, progress: Progress) -> ExportPlan:
    """Find the model, settle what was left open, and refuse what cannot be made.

    Args:
        model: Hub id, folder, .gguf file, or "sample".
        folder: Folder of the bundle in the making.
        options: What was asked for.
        progress: Learns the model's type.

    Raises:
        NanoAccelError: As ``export``.
    """
    from nanoaccel.exporters.quantize.possible import check_budget, check_draft, check_text
    from nanoaccel.exporters.source import model_source as sources
    from nanoaccel.exporters.source.context import context_length
    from nanoaccel.exporters.source.memory import weight_bytes

    source = sources.resolve(model)
    config = sources.load_config(source)
    progress.model_type = config.model_type
    BASE.check_model(config)
    checkpoint = sources.find_checkpoint(source)
    options = _settle(options, source, config, checkpoint)
    for target in beside_base(options.targets):
        _check_target(target, options, config)
    for name in options.targets:
        target_of(name).check_runtime(config)
    context = context_length(config)
    capture = _capture_options(options, context)
    check_text(capture.options, context)
    check_draft(options.draft)
    if checkpoint is None:
        loaded = weight_bytes(source, config, options.settled)
        searching = options.search_seconds is not None
        check_budget(config, options.settled, loaded, searching=searching)
    return ExportPlan(
        model=model,
        source=source,
        config=config,
        checkpoint=checkpoint,
        options=options,
        context=context,
        capture=capture,
        memory=_check_resources(source, config, options, folder),
        part=sources.describe_part(source, config),
    )


def _settle(
    options: ExportOptions, source: Source, config: PretrainedConfig, checkpoint: Checkpoint | None
) -> ExportOptions:
    """Decide what the options left open: the recipe, and the targets of "auto"."""
    from nanoaccel.exporters.source.memory import check_memory, size_of

    if options.recipe is None and checkpoint is not None:
        options = replace(options, recipe=Recipe())  # what was quantized stays as it is
    elif options.recipe is None:
        size = size_of(config)
        recipe = default_recipe(
            size.parameters, lambda tried: check_memory(source, config, size, tried)
        )
        options = replace(options, recipe=recipe)
    if not options.fallback:
        return options
    for target in derived(options.targets):
        check = partial(_check_target, target, options, config)
        reason = obstacle_to_target(target.packages, check)
        if reason is not None:
            return replace(options, targets=(BASE.name,), note=target.not_made(reason))
    return options


def _check_target(target: GraphTarget, options: ExportOptions, config: PretrainedConfig) -> None:
    """Refuse, before any weight is loaded, what a target cannot have."""
    target.check_recipe(options.settled)
    target.check_model(config)


def _check_resources(
    source: Source, config: PretrainedConfig, options: ExportOptions, folder: Path
) -> int:
    """Refuse what does not fit into memory or on the disk; bytes of memory that it should take."""
    from nanoaccel.exporters.source.memory import check_memory, size_of, weight_bytes

    recipe, targets = options.settled, with_sources(options.targets)
    size = size_of(config)
    parameters = size.parameters
    heaviest = recipe if options.search_seconds is None else PRESETS["accurate"]
    building = max(one.fixed_memory + one.memory_per_weight * parameters for one in targets)
    beside = max(one.fixed_memory for one in targets)
    expected = check_memory(source, config, size, heaviest, building=building, checking=beside)
    loaded = weight_bytes(source, config, recipe)
    captured = parameters * sum(target.disk_bytes(loaded) for target in targets)
    check_space(folder, recipe.bytes_for(parameters) * len(options.targets) + captured)
    return expected


def _capture_options(options: ExportOptions, context: int) -> CaptureOptions:
    """What is needed of the original; windows fit its context where none were asked for."""
    recipe, searching = options.settled, options.search_seconds is not None
    usual = CalibrationOptions()
    fitting = replace(usual, length=min(usual.length, context))
    return CaptureOptions(
        recipe=recipe,
        calibration=recipe.calibrated or searching,
        sensitivity=recipe.mixed or searching,
        options=fitting if options.calibration is None else options.calibration,
        judge_tokens=options.judge_tokens,
        targets=options.targets,
    )
