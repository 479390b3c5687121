"""Makes the graphs of a bundle in their places, and runs each through the engine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import NanoAccelError
from nanoaccel.exporters.failures import named_failures
from nanoaccel.exporters.options import ExportOptions
from nanoaccel.exporters.progress import Progress
from nanoaccel.exporters.quantize.weight_types import FLOATS
from nanoaccel.exporters.targets.runtimes import GRAPHS, ONNX, OPENVINO, faster_runtimes
from nanoaccel.folders import cache_folder

if TYPE_CHECKING:
    from nanoaccel.exporters.quantize.search import Tried
    from nanoaccel.exporters.quantize.trial_builder import Trial
    from nanoaccel.exporters.reference.artifacts import ModelArtifacts
    from nanoaccel.exporters.report.text import ReportedGraph
    from nanoaccel.exporters.targets.self_check import SelfCheck


@dataclass(frozen=True, slots=True)
class Made:
    """What was made.

    Args:
        trial: The graph for OpenVINO.
        graphs: That go into the bundle, the preferred one first.
        tried: Recipes that were tried, where more than one was.
        left_out: Recipes for which there was no time.
        checks: Of each graph, through the engine.
        note: Which runtime was left out, and why; empty when none was.
    """

    trial: Trial
    graphs: Sequence[ReportedGraph] = ()
    tried: Sequence[Tried] = ()
    left_out: Sequence[str] = ()
    checks: Sequence[SelfCheck] = ()
    note: str = ""


def make(material: ModelArtifacts, order: ExportOptions, folder: Path, progress: Progress) -> Made:
    """Make the graphs in their places in the bundle, and run each through the engine.

    Raises:
        NanoAccelError: A graph cannot be made, or the engine gives something else. Where the user
            left the runtimes open, that of ONNX Runtime is left out instead.
    """
    from nanoaccel.exporters.report.text import ReportedGraph
    from nanoaccel.exporters.targets.onnx import export as onnx

    builder = None
    with _may_be_left_out(order, progress) as left_out:
        if ONNX in order.runtimes:
            builder = onnx.prepare(material, folder / "builder", progress)
    made = _make_openvino(material, order, folder, progress)
    trial = made.trial
    graphs = [ReportedGraph(runtime=OPENVINO, bytes=trial.graph.bytes, fidelity=trial.fidelity)]
    checks = [_check(folder, OPENVINO, trial.answers, material, trial, progress)]
    if builder is not None:
        compressed = folder / GRAPHS[OPENVINO]
        with _may_be_left_out(order, progress) as left_out:
            written = onnx.write(material, builder, compressed, folder / ONNX, progress)
            checks.append(_check(folder, ONNX, written.answers, material, trial, progress))
            graphs.append(
                ReportedGraph(runtime=ONNX, bytes=written.bytes, fidelity=written.fidelity)
            )
    names = tuple(graph.runtime for graph in graphs)
    kept = faster_runtimes(folder, names) if order.fastest and len(names) > 1 else names
    kept = kept if order.fastest else tuple(name for name in order.runtimes if name in kept)
    for name in {OPENVINO, ONNX} - set(kept) - {OPENVINO}:
        shutil.rmtree(folder / name, ignore_errors=True)
    by_name = {graph.runtime: graph for graph in graphs}
    return replace(
        made,
        graphs=[by_name[name] for name in kept],
        checks=[check for check in checks if check.runtime in kept],
        note="".join(left_out),
    )


@contextmanager
def _may_be_left_out(order: ExportOptions, progress: Progress) -> Iterator[list[str]]:
    """Note why there is no graph for ONNX Runtime, where the user did not ask for one."""
    reason: list[str] = []
    try:
        with named_failures(progress):
            yield reason
    except NanoAccelError as error:
        if not order.fastest:
            raise
        reason.append(f"not made for ONNX Runtime: {error.problem}")


def _check(
    folder: Path,
    runtime: str,
    answers: NDArray[np.float32],
    material: ModelArtifacts,
    trial: Trial,
    progress: Progress,
) -> SelfCheck:
    """Run a graph through the engine; with float weights it gives what the original does."""
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.targets.self_check import JUDGED, ORIGINAL, Expected, self_check

    original = material.answers if trial.recipe.weights in FLOATS else None
    expected = Expected(answers, JUDGED) if original is None else Expected(original, ORIGINAL)
    group = trial.graph.weights.group_size
    with progress.stage(f"check it through the engine, {runtime}"), quiet():
        return self_check(folder, runtime, material.probes, expected, group)


def _make_openvino(
    material: ModelArtifacts, order: ExportOptions, folder: Path, progress: Progress
) -> Made:
    """Make OpenVINO's graph, by one recipe or by the best of several."""
    from nanoaccel.exporters.quantize.limits import smallest_within
    from nanoaccel.exporters.quantize.search import search
    from nanoaccel.exporters.quantize.trial_builder import TrialBuilder
    from nanoaccel.exporters.source.original_key import graph_key

    workshop = TrialBuilder(material, progress)
    trials = folder / "trials"
    if order.search_seconds is not None:
        loaded = "own" if order.settled.compressed else order.settled.weights
        name = f"{graph_key(material.content)[:32]}-{loaded}-{material.digest[:16]}"
        memory = cache_folder() / "searches" / name
        left = order.search_seconds - sum(progress.seconds.values())
        found = search(workshop.make, order.settled, workshop.budget, trials, memory, left)
        trial = found.trial or workshop.make(found.recipe, trials / "best")
        made = Made(trial, tried=found.tried, left_out=found.left_out)
    elif order.settled.limited:
        made = Made(smallest_within(workshop.make, order.settled, workshop.budget, trials)[-1])
    else:
        made = Made(workshop.make(order.settled, trials / "only"))
    path = made.trial.graph.path
    path.parent.rename(folder / OPENVINO)
    shutil.rmtree(trials)
    return made
