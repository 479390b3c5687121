"""ONNX Runtime's graph: packed, and written from the OpenVINO graph, whose weights it has."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.targets.base import (
    BuildRequest,
    GraphTarget,
    LoadedOriginal,
    TargetGraph,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nanoaccel.exporters.progress import Progress
    from nanoaccel.exporters.quantize.recipe import Recipe
    from nanoaccel.exporters.reference.artifacts import ModelArtifacts
    from nanoaccel.exporters.targets.judgement import Judgement

_HEAD = "head.onnx"
_COMPARED = 64  # tokens


class OnnxTarget(GraphTarget):
    """A graph over packed tokens, with the same codes, scales and zero points as OpenVINO's."""

    name: ClassVar[str] = "onnx"
    title: ClassVar[str] = "ONNX Runtime"
    source: ClassVar[str | None] = "openvino"
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnx_ir", "onnxruntime", "ml_dtypes")
    tools: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx-ir")
    # Measured by benchmarks/studies/export_memory.py, beside OpenVINO's.
    fixed_memory: ClassVar[float] = 0.1e9

    def check_recipe(self, recipe: Recipe) -> None:
        from nanoaccel.exporters.targets.onnx.support import check_recipe

        check_recipe(recipe)

    def disk_bytes(self, loaded: int) -> int:  # noqa: ARG002
        """See ``GraphTarget``; nothing but the graph."""
        return 0

    def capture(self, original: LoadedOriginal, folder: Path, progress: Progress) -> None:
        """See ``GraphTarget``; what it needs is in the graph of its source."""

    def prepare(self, artifacts: ModelArtifacts, progress: Progress) -> None:
        """See whether the traced graph can be packed.

        Raises:
            UnsupportedModelError: It cannot.
        """
        from nanoaccel.exporters.targets.onnx.build import check_graph
        from nanoaccel.exporters.targets.openvino.trace import GRAPH

        assert self.source is not None
        with progress.stage("plan the ONNX graph"), quiet():
            check_graph(artifacts.captured / self.source / GRAPH, artifacts.context)

    def build(self, request: BuildRequest, progress: Progress) -> TargetGraph:
        from nanoaccel.exporters.targets.onnx.build import build_graph
        from nanoaccel.exporters.targets.onnx.save import DATA

        artifacts, source = request.artifacts, request.source
        assert source is not None, "its weights are those of another graph"
        own = request.folder / self.name
        with progress.stage("write the ONNX graph") as tell, quiet():
            path = build_graph(source.path, own, artifacts.context, tell)
            shutil.copyfile(source.path.with_name("config.json"), own / "config.json")
        return TargetGraph(
            target=self.name,
            path=path,
            bytes=(own / DATA).stat().st_size,
            compression=source.compression,
        )

    def judge(self, graph: TargetGraph, request: BuildRequest, progress: Progress) -> Judgement:
        """See ``GraphTarget.judge``; it is compared with the OpenVINO graph too."""
        from nanoaccel.exporters.targets.judgement import judge_over
        from nanoaccel.exporters.targets.onnx.compare import check_same
        from nanoaccel.exporters.targets.onnx.runner import OnnxRunner
        from nanoaccel.exporters.targets.openvino.runner import run_over

        artifacts, source = request.artifacts, request.source
        assert source is not None, "its weights are those of another graph"
        with progress.stage("compare the ONNX graph") as tell, quiet():
            expected: list[NDArray[np.float32]] = []
            tokens = artifacts.reference.windows[0][:_COMPARED]
            texts = [tokens[: _COMPARED // 2], tokens]
            run_over(source.path, texts, lambda _, logits: expected.append(logits))
            runner = OnnxRunner(graph.path)
            check_same(runner, texts, expected)
            return judge_over(runner.run_over, graph.bytes, artifacts, tell)

    def convert_head(self, graph: Path, folder: Path, positions: int) -> Path:
        from nanoaccel.exporters.targets.onnx.head import convert_head

        convert_head(graph, folder, _HEAD, positions)
        return folder / _HEAD
