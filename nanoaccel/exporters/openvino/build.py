"""From the traced graph to the one that is shipped: compressed, fused, saved."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import openvino as ov

from nanoaccel.errors import ExportError
from nanoaccel.exporters.compression import WeightStatistics, compress, weight_statistics
from nanoaccel.exporters.openvino.passes.fuse_projections import fuse_projections
from nanoaccel.exporters.openvino.trace import GRAPH
from nanoaccel.exporters.recipe import Recipe

_COMPANIONS = ("config.json", "generation_config.json")


@dataclass(frozen=True, slots=True)
class BuiltGraph:
    """A graph on disk.

    Args:
        path: Its xml file.
        weights: How its weights are stored.
        fused_projections: Groups of parallel projections that became one.
        bytes: Size of its weights file.
    """

    path: Path
    weights: WeightStatistics
    fused_projections: int
    bytes: int


def build_graph(traced: Path, folder: Path, recipe: Recipe) -> BuiltGraph:
    """Compress and edit the graph in ``traced`` and save it, with its configs, in ``folder``.

    Raises:
        ExportError: It cannot be written whole.
    """
    model = compress(ov.Core().read_model(traced / GRAPH), recipe)
    fused = fuse_projections(model)
    weights = weight_statistics(model)
    if model.has_rt_info("runtime_options"):
        model.set_rt_info({}, "runtime_options")
    folder.mkdir()
    path = folder / GRAPH
    save_graph(model, path)
    for name in _COMPANIONS:
        if (traced / name).is_file():
            shutil.copyfile(traced / name, folder / name)
    return BuiltGraph(path, weights, fused, path.with_suffix(".bin").stat().st_size)


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
