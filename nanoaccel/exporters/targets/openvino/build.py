"""From the traced graph to the one that is shipped: compressed, fused, saved."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import openvino as ov

from nanoaccel.errors import ExportError
from nanoaccel.exporters.progress import Tell, silence
from nanoaccel.exporters.quantize.compression import (
    Calibration,
    WeightStatistics,
    compress,
    find_layers,
    storage_of,
    weight_statistics,
)
from nanoaccel.exporters.quantize.compression.mapped import MappedTensors
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.source.prequantized import PackedWeight
from nanoaccel.exporters.source.prequantized.insert import insert_packed
from nanoaccel.exporters.targets.openvino.trace import GRAPH
from nanoaccel.fuse_projections import fuse_projections
from nanoaccel.openvino_core import openvino_core

_COMPANIONS = ("config.json", "generation_config.json")


@dataclass(frozen=True, slots=True)
class BuiltGraph:
    """A graph on disk.

    Args:
        path: Its xml file.
        weights: How its weights are stored.
        storage: Type of each layer.
        fused_projections: Groups of parallel projections that became one.
        kept: Layers that stayed as a quantized checkpoint had them.
        bytes: Size of its weights file.
    """

    path: Path
    weights: WeightStatistics
    storage: Mapping[str, str]
    fused_projections: int
    kept: int
    bytes: int


def build_graph(
    traced: Path,
    folder: Path,
    recipe: Recipe,
    sensitive: frozenset[str] = frozenset(),
    calibration: Calibration | None = None,
    packed: Mapping[str, PackedWeight] = MappingProxyType({}),
    tell: Tell = silence,
) -> BuiltGraph:
    """Compress and edit a graph and save it, with its configs.

    Args:
        traced: Folder of the graph with its original weights.
        folder: Output folder; made new.
        recipe: How weights are stored.
        sensitive: Layers that get the recipe's backup.
        calibration: For calibrated recipes.
        packed: Weights that stay as a checkpoint had them, by module.
        tell: Called with the share that is done.

    Raises:
        ExportError: It cannot be compressed, or written whole.
    """
    model = openvino_core().read_model(traced / GRAPH)
    kept, _ = insert_packed(model, packed) if packed else (0, [])
    layers = find_layers(model)
    storage = storage_of(layers, recipe, sensitive)
    with MappedTensors(traced) as tensors:
        model = compress(model, recipe, layers, storage, calibration, tell, tensors)
        fused = fuse_projections(model, tensors.allocate)
    weights = weight_statistics(model)
    if model.has_rt_info("runtime_options"):
        model.set_rt_info({}, "runtime_options")
    folder.mkdir(parents=True)
    path = folder / GRAPH
    save_graph(model, path)
    for name in _COMPANIONS:
        if (traced / name).is_file():
            shutil.copyfile(traced / name, folder / name)
    size = path.with_suffix(".bin").stat().st_size
    return BuiltGraph(path, weights, storage, fused, kept, size)


def save_graph(model: ov.Model, path: Path) -> None:
    """Write a graph.

    Raises:
        ExportError: It cannot be written whole.
    """
    try:
        ov.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:
        free = shutil.disk_usage(path.parent).free
        raise ExportError(
            f"OpenVINO cannot write {path.parent} ({free / 1e6:.0f} MB free)",
            "Free space and export again",
        ) from error
