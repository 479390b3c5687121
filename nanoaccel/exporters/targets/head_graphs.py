"""Gives the folder of a draft head the graphs for the targets of its bundle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from nanoaccel.bundle import HEAD, Head, HeadGraph, exact_graph, list_files, weights_file
from nanoaccel.exporters.targets.table import BUILT_IN, derived, target_of


def possible_targets(names: Iterable[str]) -> set[str]:
    """Targets that a head can have a graph for, when it has graphs for those named."""
    known = set(names)
    return known | {target.name for target in derived(BUILT_IN) if target.source in known}


def give_graphs(folder: Path, targets: Sequence[str], positions: int) -> None:
    """Make the graphs that a head has not yet, and delete those for other targets.

    Args:
        folder: Folder of a head that has them, or those that they are made of; it is edited.
        targets: Names of targets, the preferred one first.
        positions: Context length of the target model, in tokens.

    Raises:
        BundleDamagedError: A file of it is missing or damaged.
        ExportError: A graph cannot be made.
    """
    head = Head.open(folder)
    graphs = {name: head.graph_for(name) for name in head.runtimes}
    for target in (target_of(name) for name in targets):
        if target.source in graphs:
            graphs[target.name] = target.convert_head(graphs[target.source], folder, positions)
    for name in set(graphs) - set(targets):
        for file in _files_of(graphs.pop(name)):
            file.unlink(missing_ok=True)
    entries = [
        HeadGraph(runtime=name, graph=graphs[name].relative_to(folder).as_posix())
        for name in targets
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
