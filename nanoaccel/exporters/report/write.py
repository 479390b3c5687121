"""Writes the report and the manifest of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.bundle import MANIFEST, GraphEntry, Manifest, ModelEntry, list_files
from nanoaccel.cached_json import versions_of
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.report.plugins import UsedPlugin, plugins_of
from nanoaccel.exporters.report.text import Report, ReportedGraph
from nanoaccel.exporters.source.context import describe_context
from nanoaccel.exporters.targets.self_check import SelfCheck
from nanoaccel.exporters.targets.table import target_of

if TYPE_CHECKING:
    from nanoaccel.exporters.make_graphs import MadeGraphs
    from nanoaccel.exporters.plan import ExportPlan
    from nanoaccel.exporters.progress import Progress
    from nanoaccel.exporters.reference.artifacts import ModelArtifacts
    from nanoaccel.exporters.source.drafts import DraftChoice

_TOOLS = ("nanoaccel", "openvino", "nncf", "transformers", "torch", "tokenizers")


def write_report(
    folder: Path,
    plan: ExportPlan,
    artifacts: ModelArtifacts,
    made: MadeGraphs,
    draft: DraftChoice,
    progress: Progress,
    *,
    opens_in_genai: bool,
) -> None:
    """Write what was made and what it cost, and the manifest, which lists every other file.

    Args:
        folder: Folder of the bundle in the making; all else stands in it.
        plan: What was to be made.
        artifacts: Artifacts of the original.
        made: The graphs.
        draft: The draft of the bundle.
        progress: Progress of the export.
        opens_in_genai: Whether OpenVINO GenAI opens the bundle too.
    """
    compression = made.graphs[0].compression
    recipe = compression.recipe
    plugged = plugins_of(plan, recipe, [graph.target for graph in made.graphs])
    notes = (plan.part, recipe.note, plan.options.note, made.note)
    report = Report(
        model=plan.model,
        recipe=recipe.describe(),
        note=". ".join(note for note in notes if note),
        context=describe_context(plan.config, plan.context),
        architecture=plan.config.model_type,
        parameters=artifacts.parameters,
        graphs=[
            ReportedGraph(runtime=graph.target, bytes=graph.bytes, fidelity=graph.judged.fidelity)
            for graph in made.graphs
        ],
        weights=compression.weights,
        storage=compression.storage,
        checkpoint="" if plan.checkpoint is None else plan.checkpoint.describe(),
        kept=compression.kept,
        fused_projections=compression.fused_projections,
        calibration=(artifacts.text or "") if recipe.calibrated else "",
        plugins=[plugin.words for plugin in plugged],
        tried=compression.tried,
        left_out=compression.left_out,
        self_checks=made.checks,
        opens_in_genai=opens_in_genai,
        draft={"kind": draft.kind, "from": draft.source, "reason": draft.reason},
        seconds=progress.seconds,
        peak_memory=progress.peak_memory,
        expected_memory=plan.memory,
    )
    report.write(folder)
    manifest = _manifest(folder, report, plan, artifacts, recipe, plugged)
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")


def _manifest(
    folder: Path,
    report: Report,
    plan: ExportPlan,
    artifacts: ModelArtifacts,
    recipe: Recipe,
    plugged: Sequence[UsedPlugin],
) -> Manifest:
    """What the bundle says of itself; all its other files stand in the folder already."""
    first, *also = report.graphs
    own = [tool for graph in report.graphs for tool in target_of(graph.runtime).tools]
    return Manifest(
        target=ModelEntry(
            runtime=first.runtime,
            graph=target_of(first.runtime).graph,
            architecture=report.architecture,
            context_length=plan.context,
            parameters=report.parameters,
            fingerprint=artifacts.fingerprint,
            weight_group_size=report.weights.group_size,
        ),
        source={
            "id": plan.source.id,
            "revision": plan.source.revision,
            "content": artifacts.content,
        },
        recipe=recipe.to_json(),
        tools={**versions_of((*_TOOLS, *own)), **dict(plugin.tool for plugin in plugged)},
        validation=asdict(first.fidelity),
        draft=report.draft,
        files=list_files(folder),
        also=tuple(
            GraphEntry(
                runtime=graph.runtime,
                graph=target_of(graph.runtime).graph,
                validation=asdict(graph.fidelity),
            )
            for graph in also
        ),
        self_check={check.runtime: _facts(check) for check in report.self_checks},
    )


def _facts(check: SelfCheck) -> dict[str, object]:
    return {name: value for name, value in asdict(check).items() if name != "runtime"}
