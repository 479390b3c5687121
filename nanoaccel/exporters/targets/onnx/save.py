"""Writes an ONNX graph twice over one file of weights: fast, and exact."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx_ir as ir

from nanoaccel.bundle import exact_graph
from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.exact import make_exact

GRAPH = "model.onnx"
DATA = "model.onnx.data"


def save_graph(model: ir.Model, folder: Path, name: str = GRAPH) -> None:
    """Write model.onnx and its weights, and model.f32.onnx, which rounds no activations.

    The second one is left out where no product rounds any.

    Args:
        model: The graph.
        folder: Output folder.
        name: Instead of model.onnx; the other files are named after it.

    Raises:
        ExportError: They cannot be written whole.
    """
    try:
        ir.save(model, folder / name, external_data=f"{name}.data")
        again = ir.load(folder / name)
        if make_exact(again.graph):
            ir.save(again, exact_graph(folder / name))
    except OSError as error:
        free = shutil.disk_usage(folder).free
        raise ExportError(
            f"cannot write {folder} ({free / 1e6:.0f} MB free): {error}",
            "Free space and export again",
        ) from error
