"""Gives the folder of a draft head the graphs for the runtimes of its bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nanoaccel.bundle import HEAD, Head, HeadGraph, exact_graph, list_files, weights_file
from nanoaccel.exporters.targets.onnx.head import convert_head
from nanoaccel.exporters.targets.runtimes import ONNX, OPENVINO

_GRAPH = "head.onnx"


def give_graphs(folder: Path, runtimes: Sequence[str], positions: int) -> None:
    """Make the graphs that a head has not yet, and delete those for other runtimes.

    Args:
        folder: Of a head that has them, or one for OpenVINO; it is edited.
        runtimes: Names of backends, the preferred one first.
        positions: Of the target, that it may have to guess at.

    Raises:
        BundleDamagedError: A file of it is missing or damaged.
        ExportError: Its graph cannot be made for ONNX Runtime.
    """
    head = Head.open(folder)
    graphs = {name: head.graph_for(name) for name in head.runtimes}
    if ONNX in runtimes and OPENVINO in graphs:
        convert_head(graphs[OPENVINO], folder, _GRAPH, positions)
        graphs[ONNX] = folder / _GRAPH
    for name in set(graphs) - set(runtimes):
        for file in _files_of(graphs.pop(name)):
            file.unlink(missing_ok=True)
    entries = [
        HeadGraph(runtime=name, graph=graphs[name].relative_to(folder).as_posix())
        for name in runtimes
    ]
    (folder / HEAD).unlink()
    manifest = replace(
        head.manifest,
        runtime=entries[0].runtime,
        graph=entries[0].graph,
        also=tuple(entries[1:]),
        files=list_files(folder),
    )
    (folder / HEAD).write_text(manifest.to_json(), encoding="utf-8")


def _files_of(graph: Path) -> tuple[Path, ...]:
    exact = (exact_graph(graph),) if graph.suffix == ".onnx" else ()
    return (graph, weights_file(graph), *exact)
