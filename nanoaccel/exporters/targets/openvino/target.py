"""OpenVINO's graph: traced, compressed by one recipe or by the best of several."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.targets.base import (
    BuildRequest,
    Compression,
    GraphTarget,
    LoadedOriginal,
    TargetGraph,
)
from nanoaccel.folders import cache_folder

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from nanoaccel.exporters.progress import Progress
    from nanoaccel.exporters.quantize.search import Found
    from nanoaccel.exporters.quantize.trial_builder import Trial, TrialBuilder
    from nanoaccel.exporters.reference.artifacts import ModelArtifacts
    from nanoaccel.exporters.targets.judgement import Judgement
    from nanoaccel.exporters.targets.options import ExportOptions

_GENERATION_CONFIG = "generation_config.json"


class OpenVINOTarget(GraphTarget):
    """The graph that compresses the original's weights; other targets take them over."""

    name: ClassVar[str] = "openvino"
    title: ClassVar[str] = "OpenVINO"

    def check_model(self, config: PretrainedConfig) -> None:
        from nanoaccel.exporters.targets.openvino.trace import check_supported

        check_supported(config)

    def check_runtime(self, config: PretrainedConfig) -> None:
        from nanoaccel.exporters.targets.openvino.trace import check_paged

        check_paged(config)

    def disk_bytes(self, loaded: int) -> int:
        return loaded

    def capture(self, original: LoadedOriginal, folder: Path, progress: Progress) -> None:
        from nanoaccel.exporters.targets.openvino.trace import trace

        with progress.stage("trace the graph"), quiet():
            trace(original.model, folder)

    def build(self, request: BuildRequest, progress: Progress) -> TargetGraph:
        """See ``GraphTarget.build``; where several are tried, each is judged."""
        from nanoaccel.exporters.quantize.limits import smallest_within
        from nanoaccel.exporters.quantize.trial_builder import TrialBuilder

        artifacts, options, folder = request.artifacts, request.options, request.folder
        builder = TrialBuilder(artifacts, artifacts.captured / self.name, progress)
        trials, recipe = folder / "trials", options.settled
        found: Found | None = None
        trial: Trial | None = None
        if options.search_seconds is not None:
            left = options.search_seconds - sum(progress.seconds.values())
            found = _search(builder, artifacts, options, trials, left)
            trial = found.trial or builder.make(found.recipe, trials / "best")
        elif recipe.limited:
            trial = smallest_within(builder.make, recipe, builder.budget, trials)[-1]
        graph = builder.build(recipe, trials / "only") if trial is None else trial.graph
        graph.path.parent.rename(folder / self.name)
        shutil.rmtree(trials)
        return TargetGraph(
            target=self.name,
            path=folder / self.graph,
            bytes=graph.bytes,
            compression=Compression(
                recipe=recipe if trial is None else trial.recipe,
                weights=graph.weights,
                storage=graph.storage,
                fused_projections=graph.fused_projections,
                kept=graph.kept,
                tried=() if found is None else found.tried,
                left_out=() if found is None else found.left_out,
            ),
            judgement=None if trial is None else trial.judgement,
        )

    def judge(self, graph: TargetGraph, request: BuildRequest, progress: Progress) -> Judgement:
        from nanoaccel.exporters.quantize.trial_builder import judge

        return judge(graph.path, request.artifacts, progress)

    def finish(self, folder: Path, *, kept: bool) -> bool:
        """See ``GraphTarget.finish``; how the original generates is kept for all targets."""
        from nanoaccel.exporters.targets.openvino.genai_tokenizer import write_genai_tokenizer

        own = folder / self.name
        if (own / _GENERATION_CONFIG).is_file():
            shutil.copyfile(own / _GENERATION_CONFIG, folder / _GENERATION_CONFIG)
        return write_genai_tokenizer(folder, own) if kept else super().finish(folder, kept=False)


def _search(
    builder: TrialBuilder,
    artifacts: ModelArtifacts,
    options: ExportOptions,
    trials: Path,
    seconds: float,
) -> Found:
    """The best recipe that is found in the time that is left; a stopped search goes on."""
    from nanoaccel.exporters.quantize.search import search
    from nanoaccel.exporters.source.original_key import graph_key

    recipe = options.settled
    loaded = "own" if recipe.compressed else recipe.weights
    name = f"{graph_key(artifacts.content)[:32]}-{loaded}-{artifacts.digest[:16]}"
    memory = cache_folder() / "searches" / name
    return search(builder.make, recipe, builder.budget, trials, memory, seconds)
