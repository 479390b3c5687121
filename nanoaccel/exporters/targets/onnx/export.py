"""The stages of an export for ONNX Runtime."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.errors import ExportError
from nanoaccel.exporters.progress import Progress
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.targets.onnx.build import build_graph, packed_graph
from nanoaccel.exporters.targets.onnx.builder import run_builder
from nanoaccel.exporters.targets.onnx.int8_kv import measure_ranges, write_small_cache
from nanoaccel.exporters.targets.onnx.names import LOGITS
from nanoaccel.exporters.targets.onnx.runner import OnnxRunner
from nanoaccel.exporters.targets.onnx.save import DATA
from nanoaccel.exporters.targets.openvino.runner import GraphRunner

if TYPE_CHECKING:
    from nanoaccel.exporters.reference.artifacts import ModelArtifacts

# How far logits may be off, as a share of the largest: other rounding, no other weights.
_TOLERANCE = 0.01
_COMPARED = 64  # tokens
_RANGED = 8  # windows over which the cache's ranges are measured


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """A graph on disk.

    Args:
        path: Its file.
        bytes: Size of its weights file.
        fidelity: To the original.
        answers: To the probes of the self-check, f32[R, V].
    """

    path: Path
    bytes: int
    fidelity: Fidelity
    answers: NDArray[np.float32]


def prepare(material: ModelArtifacts, folder: Path, progress: Progress) -> Path:
    """Let the builder make its graph of the original, and see whether it can be packed.

    Args:
        material: With a checkpoint.
        folder: Where the graph goes; made new.
        progress: Is told.

    Raises:
        UnsupportedModelError: It cannot be packed.
        ExportError: The builder fails.
    """
    assert material.checkpoint is not None
    with progress.stage("build the ONNX graph"), quiet():
        graph = run_builder(material.checkpoint, folder)
        packed_graph(graph, material.checkpoint)
    return graph


def write(
    material: ModelArtifacts, builder: Path, compressed: Path, folder: Path, progress: Progress
) -> OnnxGraph:
    """Write the graph with the weights of the OpenVINO graph, check it, and judge it.

    Args:
        material: Of the original; its checkpoint is used up.
        builder: File of the graph that ``prepare`` made; used up.
        compressed: File of the OpenVINO graph.
        folder: Where to; made new.
        progress: Is told.

    Raises:
        ExportError: The weights do not fit, or the graph computes something else.
    """
    assert material.checkpoint is not None
    with progress.stage("write the ONNX graph") as tell, quiet():
        path = build_graph(material.checkpoint, builder, compressed, folder, tell)
        shutil.copyfile(compressed.with_name("config.json"), folder / "config.json")
        shutil.rmtree(material.checkpoint)
        shutil.rmtree(builder.parent)
    with progress.stage("compare the ONNX graph") as tell, quiet():
        runner = OnnxRunner(path)
        check_same(runner, GraphRunner(compressed), material.reference.windows[0][:_COMPARED])
        fidelity = material.reference.judge(runner.logits, tell=tell)
        answers = material.probes.answers(runner.logits(material.probes.tokens))
        write_small_cache(path, measure_ranges(runner, material.reference.windows[:_RANGED]))
    return OnnxGraph(path, (folder / DATA).stat().st_size, fidelity, answers)


def check_same(onnx: OnnxRunner, openvino: GraphRunner, tokens: NDArray[np.int64]) -> None:
    """Refuse an ONNX graph whose logits are not those of the OpenVINO graph.

    Args:
        onnx: Runs the one, over sequences of two lengths at once.
        openvino: Runs the other.
        tokens: To compare on.

    Raises:
        ExportError: They differ by more than rounding.
    """
    wanted = openvino.logits(tokens)
    half = len(tokens) // 2
    (found,) = onnx.run([tokens[:half], tokens], [LOGITS])
    difference = np.abs(found[0] - np.concatenate([wanted[:half], wanted])).max()
    share = float(difference / np.abs(wanted).max())
    if share > _TOLERANCE:
        raise ExportError(
            f"the ONNX graph gives other logits than the OpenVINO graph, by {share:.1%} of the "
            "largest",
            "Report it with the model's name, and export it for OpenVINO: --runtime openvino",
        )
