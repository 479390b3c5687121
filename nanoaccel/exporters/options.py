"""What an export shall make: what the user asked for, settled by what the model is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.calibration.datasets.options import CalibrationOptions
from nanoaccel.exporters.publish import check_space
from nanoaccel.exporters.quantize.defaults import default_recipe, obstacle_to_onnx
from nanoaccel.exporters.quantize.recipe import PRESETS, Recipe
from nanoaccel.exporters.targets.runtimes import ONNX, OPENVINO

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from nanoaccel.exporters.reference.artifacts import CaptureOptions
    from nanoaccel.exporters.source.model_source import Source
    from nanoaccel.exporters.source.prequantized import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What an export shall make; see ``export``.

    Args:
        recipe: How weights are stored; None leaves it to the size of the model.
        runtimes: Names of the backends to make it for.
        fastest: Whether only what is faster here is kept, and what cannot be made is left out.
        note: What was left out of it, and why.
    """

    recipe: Recipe | None
    calibration: CalibrationOptions | None
    judge_tokens: int
    search_seconds: float | None
    draft: str
    runtimes: tuple[str, ...]
    fastest: bool
    note: str = ""

    @property
    def settled(self) -> Recipe:
        """The recipe, once the model is known."""
        assert self.recipe is not None, "the model's size decides first"
        return self.recipe


def settle(
    order: ExportOptions, source: Source, config: PretrainedConfig, checkpoint: Checkpoint | None
) -> ExportOptions:
    """The order with what was left open decided: the recipe, and the runtimes of "auto"."""
    from nanoaccel.exporters.source.memory import check_memory, count_parameters

    parameters = count_parameters(config)
    if order.recipe is None and checkpoint is not None:
        order = replace(order, recipe=Recipe())  # what was quantized stays as it is
    elif order.recipe is None:
        recipe = default_recipe(
            parameters, lambda tried: check_memory(source, config, parameters, tried)
        )
        order = replace(order, recipe=recipe)
    if not order.fastest or ONNX not in order.runtimes:
        return order
    reason = obstacle_to_onnx(order.settled, parameters, lambda: check_runtimes(order, config))
    if reason is None:
        return order
    return replace(order, runtimes=(OPENVINO,), note=f"not made for ONNX Runtime: {reason}")


def check_room(source: Source, config: PretrainedConfig, order: ExportOptions, folder: Path) -> int:
    """Refuse what does not fit into memory or on the disk; bytes of memory that it should take."""
    from nanoaccel.exporters.source.memory import check_memory, count_parameters, weight_bytes

    recipe, onnx = order.settled, ONNX in order.runtimes
    parameters = count_parameters(config)
    heaviest = recipe if order.search_seconds is None else PRESETS["accurate"]
    expected = check_memory(source, config, parameters, heaviest, onnx=onnx)
    loaded = weight_bytes(source, config, recipe)
    traced = parameters * (loaded + (loaded + 4 if onnx else 0))
    check_space(folder, recipe.bytes_for(parameters) * len(order.runtimes) + traced)
    return expected


def check_runtimes(order: ExportOptions, config: PretrainedConfig) -> None:
    """Refuse, before any weight is loaded, what ONNX Runtime cannot do."""
    if ONNX in order.runtimes:
        from nanoaccel.exporters.targets.onnx.architectures import check_architecture, check_recipe

        check_recipe(order.settled)
        check_architecture(config)


def wanted_of(order: ExportOptions, context: int) -> CaptureOptions:
    """What the order needs of the original; windows fit its context where none were asked for."""
    from nanoaccel.exporters.reference.artifacts import CaptureOptions

    recipe, searching = order.settled, order.search_seconds is not None
    usual = CalibrationOptions()
    fitting = replace(usual, length=min(usual.length, context))
    return CaptureOptions(
        recipe=recipe,
        calibration=recipe.calibrated or searching,
        sensitivity=recipe.mixed or searching,
        options=fitting if order.calibration is None else order.calibration,
        judge_tokens=order.judge_tokens,
        checkpoint=ONNX in order.runtimes,
    )
