"""Makes graphs of one model by different recipes, and judges each."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import openvino as ov

from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.exporters.progress import Progress
from nanoaccel.exporters.quantize.budget import Budget
from nanoaccel.exporters.quantize.compression import find_layers
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.reference.artifacts import ModelArtifacts
from nanoaccel.exporters.targets.judgement import Judgement, judge_over
from nanoaccel.exporters.targets.openvino.build import BuiltGraph, build_graph
from nanoaccel.exporters.targets.openvino.runner import run_over
from nanoaccel.exporters.targets.openvino.trace import GRAPH
from nanoaccel.openvino_core import openvino_core


@dataclass(frozen=True, slots=True)
class Trial:
    """A graph, and what it is worth.

    Args:
        recipe: What made it.
        graph: Where it is.
        judgement: Its comparison with the original.
        seconds: Seconds that making and judging it took.
    """

    recipe: Recipe
    graph: BuiltGraph
    judgement: Judgement
    seconds: float

    @property
    def fidelity(self) -> Fidelity:
        """Fidelity to the original."""
        return self.judgement.fidelity

    def discard(self) -> None:
        """Delete its files."""
        shutil.rmtree(self.graph.path.parent, ignore_errors=True)


Make = Callable[[Recipe, Path], Trial]


class TrialBuilder:
    """Makes graphs of one model.

    Args:
        artifacts: What was taken from the original.
        traced: Folder of the traced graph.
        progress: Progress of the export.
    """

    def __init__(self, artifacts: ModelArtifacts, traced: Path, progress: Progress) -> None:
        graph = openvino_core().read_model(traced / GRAPH)
        layers = [layer for layer in find_layers(graph) if layer.name not in artifacts.packed]
        size = (traced / GRAPH).with_suffix(".bin").stat().st_size
        self.budget = Budget(layers, artifacts.sensitivity, size, _weight_bytes(graph))
        self._artifacts = artifacts
        self._traced = traced
        self._progress = progress

    def make(self, recipe: Recipe, folder: Path) -> Trial:
        """Make a graph and judge it.

        Args:
            recipe: What to do.
            folder: Where the graph goes; made new.

        Raises:
            ExportError: It cannot be made, or does not work.
            ConfigError: The recipe does not fit the model.
        """
        begin = time.perf_counter()
        graph = self.build(recipe, folder)
        judgement = judge(graph.path, self._artifacts, self._progress)
        return Trial(recipe, graph, judgement, time.perf_counter() - begin)

    def build(self, recipe: Recipe, folder: Path) -> BuiltGraph:
        """Make a graph; the arguments and errors are those of ``make``."""
        artifacts = self._artifacts
        with self._progress.stage(f"make it {recipe.describe()}") as tell, quiet():
            return build_graph(
                self._traced,
                folder,
                recipe,
                self.budget.sensitive(recipe),
                artifacts.calibration,
                artifacts.packed,
                tell,
            )


def judge(graph: Path, artifacts: ModelArtifacts, progress: Progress) -> Judgement:
    """Compare a graph with the original.

    Args:
        graph: Its file.
        artifacts: What was taken from the original.
        progress: Progress of the export.

    Raises:
        ExportError: It does not work.
    """
    with progress.stage("compare with the original") as tell, quiet():
        size = graph.with_suffix(".bin").stat().st_size
        return judge_over(partial(run_over, graph), size, artifacts, tell)


def _weight_bytes(graph: ov.Model) -> int:
    """Bytes of one original weight, by the largest constant."""
    largest = max(
        (node for node in graph.get_ops() if node.get_type_name() == "Constant"),
        key=lambda node: node.get_byte_size(),
    )
    return int(largest.get_output_element_type(0).size)
