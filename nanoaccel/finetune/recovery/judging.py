"""Judges a bundle's graphs: against the original, and through the engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nanoaccel.bundle import Bundle
from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.calibration.probes import Probes
from nanoaccel.calibration.reference import Reference
from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.progress import Progress
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.targets.self_check import JUDGED, Expected, SelfCheck, self_check
from nanoaccel.finetune.recovery.graphs.onnx_graph import OnnxGraph
from nanoaccel.finetune.recovery.graphs.openvino_graph import OpenVINOGraph
from nanoaccel.finetune.recovery.graphs.stored_graph import StoredGraph


@dataclass(frozen=True, slots=True)
class Judged:
    """A graph, judged.

    Args:
        runtime: Name of the backend that runs it.
        fidelity: To the original.
        check: What the engine gave.
    """

    runtime: str
    fidelity: Fidelity
    check: SelfCheck


def open_graphs(bundle: Bundle, rows: dict[str, int]) -> list[StoredGraph]:
    """The graphs of a bundle, the preferred one first.

    Args:
        bundle: The bundle.
        rows: Rows of the matrix of each module of its original.

    Raises:
        UnsupportedModelError: One of them cannot be recovered.
    """
    return [_open(bundle.graph_for(runtime), runtime, rows) for runtime in bundle.runtimes]


def _open(path: Path, runtime: str, rows: dict[str, int]) -> StoredGraph:
    if runtime == OpenVINOGraph.runtime:
        return OpenVINOGraph(path)
    if runtime == OnnxGraph.runtime:
        return OnnxGraph(path, rows)
    raise UnsupportedModelError(
        f"{path} is a graph for {runtime}, which recovery does not know",
        "Recover a bundle for openvino or onnx",
    )


def judge(graph: StoredGraph, reference: Reference, progress: Progress, when: str) -> Fidelity:
    """Compare a graph with the original.

    Args:
        graph: The graph.
        reference: What the original predicts.
        progress: Learns the stage.
        when: "before" or "after".

    Raises:
        ExportError: The graph does not run.
    """
    with progress.stage(f"judge it {when}, {graph.runtime}") as tell, quiet():
        return reference.judge(graph.logits, tell=tell)


def judge_whole(
    folder: Path, graph: StoredGraph, reference: Reference, probes: Probes, progress: Progress
) -> Judged:
    """Compare a graph of a bundle in the making with the original, and the engine with the graph.

    Args:
        folder: Folder of the bundle in the making.
        graph: Its graph.
        reference: What the original predicts.
        probes: What the engine is asked.
        progress: Learns the stages.

    Raises:
        ExportError: The graph does not run, or the engine gives something else.
    """
    fidelity = judge(graph, reference, progress, "after")
    group = min(one.columns // one.groups for one in graph.learnable().values())
    with progress.stage(f"check it through the engine, {graph.runtime}"), quiet():
        answers = Expected(probes.ask(graph.logits), JUDGED)
        check = self_check(folder, graph.runtime, graph.path, probes, answers, group)
    return Judged(graph.runtime, fidelity, check)
