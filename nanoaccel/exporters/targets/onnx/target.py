"""ONNX Runtime's graph: the builder's, packed, with the weights of the OpenVINO graph."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.targets.base import BuildRequest, GraphTarget, LoadedOriginal, TargetGraph

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from nanoaccel.exporters.progress import Progress
    from nanoaccel.exporters.quantize.recipe import Recipe
    from nanoaccel.exporters.reference.artifacts import ModelArtifacts

_CHECKPOINT, _BUILDER = "checkpoint", "builder"  # folders of what is captured
_HEAD = "head.onnx"
_COMPARED = 64  # tokens


class OnnxTarget(GraphTarget):
    """A graph over packed tokens, with the same codes, scales and zero points as OpenVINO's."""

    name: ClassVar[str] = "onnx"
    title: ClassVar[str] = "ONNX Runtime"
    source: ClassVar[str | None] = "openvino"
    packages: ClassVar[tuple[str, ...]] = (
        "onnx",
        "onnx_ir",
        "onnxruntime",
        "onnxruntime_genai",
        "ml_dtypes",
    )
    tools: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnxruntime-genai", "onnx-ir")
    # The builder's process has the model once in f32, and a matrix that it packs.
    fixed_memory: ClassVar[float] = 0.8e9
    memory_per_weight: ClassVar[float] = 5.0

    def check_model(self, config: PretrainedConfig) -> None:
        from nanoaccel.exporters.targets.onnx.support import check_architecture

        check_architecture(config)

    def check_recipe(self, recipe: Recipe) -> None:
        from nanoaccel.exporters.targets.onnx.support import check_recipe

        check_recipe(recipe)

    def disk_bytes(self, loaded: int) -> int:
        """See ``GraphTarget``; a checkpoint, and the builder's graph in f32."""
        return loaded + 4

    def capture(self, original: LoadedOriginal, folder: Path, progress: Progress) -> None:
        from nanoaccel.exporters.targets.onnx.builder import save_checkpoint

        with progress.stage("write the weights"), quiet():
            save_checkpoint(original.model, folder / _CHECKPOINT, original.tokenizer)

    def prepare(self, artifacts: ModelArtifacts, progress: Progress) -> None:
        """Let the builder make its graph of the original, and see whether it can be packed.

        Raises:
            UnsupportedModelError: It cannot be packed.
            ExportError: The builder fails.
        """
        from nanoaccel.exporters.targets.onnx.build import packed_graph
        from nanoaccel.exporters.targets.onnx.builder import run_builder

        captured = artifacts.captured / self.name
        with progress.stage("build the ONNX graph"), quiet():
            graph = run_builder(captured / _CHECKPOINT, captured / _BUILDER)
            packed_graph(graph, captured / _CHECKPOINT)

    def build(self, request: BuildRequest, progress: Progress) -> TargetGraph:
        """See ``GraphTarget.build``; it is compared with the OpenVINO graph too."""
        from nanoaccel.exporters.targets.onnx.build import build_graph
        from nanoaccel.exporters.targets.onnx.builder import GRAPH
        from nanoaccel.exporters.targets.onnx.compare import check_same
        from nanoaccel.exporters.targets.onnx.runner import OnnxRunner
        from nanoaccel.exporters.targets.onnx.save import DATA
        from nanoaccel.exporters.targets.openvino.runner import GraphRunner

        artifacts, source = request.artifacts, request.source
        assert source is not None, "its weights are those of another graph"
        captured, own = artifacts.captured / self.name, request.folder / self.name
        checkpoint, builder = captured / _CHECKPOINT, captured / _BUILDER / GRAPH
        with progress.stage("write the ONNX graph") as tell, quiet():
            path = build_graph(checkpoint, builder, source.path, own, tell)
            shutil.copyfile(source.path.with_name("config.json"), own / "config.json")
            shutil.rmtree(captured)
        with progress.stage("compare the ONNX graph") as tell, quiet():
            runner = OnnxRunner(path)
            check_same(runner, GraphRunner(source.path), artifacts.reference.windows[0][:_COMPARED])
            fidelity = artifacts.reference.judge(runner.logits, tell=tell)
            answers = artifacts.probes.answers(runner.logits(artifacts.probes.tokens))
        return TargetGraph(
            target=self.name,
            path=path,
            bytes=(own / DATA).stat().st_size,
            fidelity=fidelity,
            answers=answers,
            compression=source.compression,
        )

    def convert_head(self, graph: Path, folder: Path, positions: int) -> Path:
        from nanoaccel.exporters.targets.onnx.head import convert_head

        convert_head(graph, folder, _HEAD, positions)
        return folder / _HEAD
