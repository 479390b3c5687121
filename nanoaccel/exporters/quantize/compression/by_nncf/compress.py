"""Weight compression by NNCF: types and methods that are not rounded here."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanoaccel.bundle.folded_scales import FoldedScales
from nanoaccel.errors import ExportError
from nanoaccel.exporters.progress import Tell
from nanoaccel.exporters.quantize.compression.by_nncf.one_core import on_the_one_core
from nanoaccel.exporters.quantize.compression.by_nncf.parts import FinishedParts, kept_statistics
from nanoaccel.exporters.quantize.compression.by_nncf.progress import reporting
from nanoaccel.exporters.quantize.compression.by_nncf.statistics_run import block_by_block
from nanoaccel.exporters.quantize.compression.by_nncf.written import written_to
from nanoaccel.exporters.quantize.compression.calibration import Calibration
from nanoaccel.exporters.quantize.compression.folded import (
    folded_in,
    note_folded,
    watching_awq,
)
from nanoaccel.exporters.quantize.compression.integers import round_layers
from nanoaccel.exporters.quantize.compression.layers import SMALLEST_GROUP, Layer
from nanoaccel.exporters.quantize.compression.mapped import MappedTensors
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.targets.openvino.runner import graph_inputs
from nanoaccel.folders import tell_unusable

if TYPE_CHECKING:
    import nncf
    import openvino as ov

    from nanoaccel.exporters.quantize.compression.request import CompressionRequest

_MODES = {
    "fp8": "FP8_E4M3", "mxfp8": "MXFP8_E4M3", "nf4": "NF4", "fp4": "FP4", "mxfp4": "MXFP4",
    "nvfp4": "NVFP4", "cb4": "CB4", "int3": "INT3_SYM", "int2": "INT2_SYM",
}  # fmt: skip
_OPTIONS = {
    "awq": "awq",
    "scale-estimation": "scale_estimation",
    "gptq": "gptq",
    "lora-correction": "lora_correction",
}
# NNCF writes it, but cannot read a graph that has it: it is made last, and at once.
UNREAD = ("int3",)
_FLOATS = ("f32", "f16", "bf16")
# Parts of a model that GPTQ does one after the other, each kept on disk when it is done.
_PARTS = 5
_PARAMETERS = ["nncf", "weight_compression", "advanced_parameters"]
_NUMBER = re.compile(r"\.\d+\b")


def compress_all(request: CompressionRequest) -> ov.Model:
    """Let NNCF compress the layers of the recipe's own type; those of 8 bits are rounded here.

    Raises:
        ExportError: NNCF cannot do it.
    """
    first = request.recipe.weights in UNREAD
    if first:
        round_layers(replace(request, calibration=None), {"int8"})
    model = _compress_by_nncf(
        request.model,
        request.recipe,
        request.layers,
        request.storage,
        request.calibration,
        request.tell,
        request.tensors,
    )
    if not first:
        round_layers(replace(request, model=model, calibration=None), {"int8"})
    return model


def _compress_by_nncf(
    model: ov.Model,
    recipe: Recipe,
    layers: Sequence[Layer],
    storage: Mapping[str, str],
    calibration: Calibration | None,
    tell: Tell,
    tensors: MappedTensors | None,
) -> ov.Model:
    """Let NNCF compress the layers of the recipe's own type; the others stay as they are.

    Raises:
        ExportError: It cannot.
    """
    writing = nullcontext() if tensors is None else written_to(tensors)
    try:
        with (
            on_the_one_core(),
            reporting(tell, _float_bytes(model)),
            block_by_block(tell),
            _matched_once(),
            writing,
        ):
            model = _primary(model, recipe, layers, storage, calibration)
    except _errors() as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(
            f"NNCF cannot make the model {recipe.describe()}: {line}", "Choose another recipe"
        ) from error
    return model


@contextmanager
def _matched_once() -> Iterator[None]:
    """Let NNCF look once for the operations that it leaves as they are, and not in each step."""
    from nncf.quantization.algorithms.weight_compression import algorithm as module

    match, known = module.get_node_names_matching_graph_pattern, None

    def match_once(graph: Any, pattern: Any) -> list[str]:
        nonlocal known
        if known is None:
            known = list(match(graph, pattern))
        return known

    module.get_node_names_matching_graph_pattern = match_once
    try:
        yield
    finally:
        module.get_node_names_matching_graph_pattern = match


def _float_bytes(model: ov.Model) -> int:
    """Bytes of the float matrices of a graph."""
    constants = (node for node in model.get_ops() if node.get_type_name() == "Constant")
    matrices = (node for node in constants if len(node.get_output_shape(0)) > 1)
    kinds = ((node.get_element_type().get_type_name(), node.get_byte_size()) for node in matrices)
    return sum(size for kind, size in kinds if kind in _FLOATS)


def _primary(
    model: ov.Model,
    recipe: Recipe,
    layers: Sequence[Layer],
    storage: Mapping[str, str],
    calibration: Calibration | None,
) -> ov.Model:
    """Give the layers of the recipe's own type what it says."""
    chosen = [layer for layer in layers if storage[layer.name] == recipe.weights]
    if not chosen:
        return model
    if "gptq" not in recipe.methods or calibration is None or recipe.weights in UNREAD:
        return _compress_layers(model, recipe, layers, chosen, calibration)
    finished = FinishedParts(calibration.folder, recipe, storage)
    parts = _parts(chosen)
    model = finished.latest(model)
    for index in range(finished.count, len(parts)):
        model = _compress_layers(model, recipe, layers, parts[index], calibration)
        finished.keep(model)
    finished.remove()
    return model


def _parts(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Layers that GPTQ treats together: whole blocks of the model, in order.

    Each part sees what the parts before it made of its inputs, as in the original algorithm.
    """
    found: dict[str, list[Layer]] = {}
    for layer in layers:
        found.setdefault(_block(layer), []).append(layer)
    blocks = list(found.values())
    size = -(-len(blocks) // _PARTS)
    return [
        [layer for block in blocks[begin : begin + size] for layer in block]
        for begin in range(0, len(blocks), size)
    ]


def _block(layer: Layer) -> str:
    match = _NUMBER.search(layer.name)
    return layer.name if match is None else layer.name[: match.end()]


def _compress_layers(
    model: ov.Model,
    recipe: Recipe,
    layers: Sequence[Layer],
    chosen: Sequence[Layer],
    calibration: Calibration | None,
) -> ov.Model:
    """Compress some layers by the recipe's methods.

    Matrices of experts are compressed without AWQ: what it scales by is taken from all tokens, and
    no graph of ONNX Runtime can scale the inputs of each expert. So are layers without a partner.
    """
    if "awq" in recipe.methods:
        others = _without_partner(model, layers, chosen)
        others += [layer for layer in chosen if layer.matrices > 1 and layer not in others]
        rest = [layer for layer in chosen if layer not in others]
        if others and rest:
            model = _compress_layers(model, recipe, layers, rest, calibration)
        if others:
            methods = tuple(method for method in recipe.methods if method != "awq")
            recipe, chosen = replace(recipe, methods=methods), others
    names = {layer.name for layer in chosen}
    left = [layer for layer in layers if layer.name not in names]
    if calibration is None or not recipe.calibrated:
        assert not recipe.calibrated, "calibrated methods need samples"
        return _call_nncf(model, recipe, left, {}, None)
    if "gptq" in recipe.methods or recipe.weights in UNREAD:  # the graph is not the original
        return _call_nncf(model, recipe, left, _calibrating(model, recipe, calibration), None)
    from nncf.errors import StatisticsCacheError
    from safetensors import SafetensorError

    with kept_statistics(calibration.folder, len(calibration.samples)) as statistics:
        more = _calibrating(model, recipe, calibration)
        try:
            made = _call_nncf(model, recipe, left, more, statistics)
        except (OSError, SafetensorError, StatisticsCacheError) as error:
            # What it measured could not be kept, or what was kept is damaged.
            tell_unusable(error)
            shutil.rmtree(str(statistics), ignore_errors=True)
            return _call_nncf(model, recipe, left, more, None)
    _forget_path(made, str(statistics))
    return made


def _without_partner(
    model: ov.Model, layers: Sequence[Layer], chosen: Sequence[Layer]
) -> list[Layer]:
    """Layers whose input is a product of what a layer gives that is not chosen.

    AWQ folds the scales of such an input into the layer before it, and NNCF 3.4 fails where that
    one is left out.
    """
    operations = {operation.get_friendly_name(): operation for operation in model.get_ops()}
    others = {name for layer in layers for name in layer.operations}
    others -= {name for layer in chosen for name in layer.operations}
    found = []
    for layer in chosen:
        reads = [operations[name].input_value(0).get_node() for name in layer.operations]
        factors = {
            value.get_source_output().get_node().get_friendly_name()
            for node in reads
            if node.get_type_name() == "Multiply"
            for value in node.inputs()
        }
        if factors & others:
            found.append(layer)
    return found


def _calibrating(model: ov.Model, recipe: Recipe, calibration: Calibration) -> dict[str, Any]:
    import nncf

    samples = [graph_inputs(model, tokens) for tokens in calibration.samples]
    methods = {_OPTIONS[method]: True for method in recipe.methods}
    return {"dataset": nncf.Dataset(samples), "subset_size": len(samples), **methods}


def _call_nncf(
    model: ov.Model,
    recipe: Recipe,
    left: Sequence[Layer],
    more: Mapping[str, Any],
    statistics: Path | None,
) -> ov.Model:
    """Compress all layers but those that are left out."""
    import nncf

    adjust = recipe.fallback == "smaller" and recipe.traits.group_size is None
    folded = folded_in(model)
    with watching_awq() as more_folded:
        made = nncf.compress_weights(
            model,
            mode=nncf.CompressWeightsMode[_mode(recipe.weights, recipe.symmetric)],
            group_size=recipe.group,
            all_layers=True,
            ignored_scope=_ignoring(left),
            advanced_parameters=nncf.AdvancedCompressionParameters(
                statistics_path=None if statistics is None else str(statistics),
                group_size_fallback_mode=nncf.GroupSizeFallbackMode[
                    "ADJUST" if adjust else "IGNORE"
                ],
                min_adjusted_group_size=SMALLEST_GROUP,
            ),
            **more,
        )
    note_folded(made, reduce(FoldedScales.with_more, more_folded, folded))
    return made


def _forget_path(model: ov.Model, path: str) -> None:
    """NNCF writes its parameters into the graph; a path of this machine has no place there."""
    if model.has_rt_info(_PARAMETERS):
        text = str(model.get_rt_info(_PARAMETERS).astype(str))
        model.set_rt_info(text.replace(repr(path), "None"), _PARAMETERS)


def _errors() -> tuple[type[Exception], ...]:
    """What NNCF raises."""
    from nncf import errors

    own = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return (*(kind for kind in own if issubclass(kind, Exception)), RuntimeError)


def _ignoring(layers: Iterable[Layer]) -> nncf.IgnoredScope:
    import nncf

    return nncf.IgnoredScope(names=[name for layer in layers for name in layer.operations])


def _mode(weights: str, symmetric: bool) -> str:
    if weights in ("int8", "int4"):
        return f"{weights.upper()}_{'SYM' if symmetric else 'ASYM'}"
    return _MODES[weights]
