"""Writes the report and the manifest of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.exporters.report.manifest import write_manifest
from nanoaccel.exporters.report.text import Report, ReportedGraph
from nanoaccel.exporters.source.context import describe_context

if TYPE_CHECKING:
    from nanoaccel.exporters.make_graphs import MadeGraphs
    from nanoaccel.exporters.options import ExportPlan
    from nanoaccel.exporters.progress import Progress
    from nanoaccel.exporters.reference.artifacts import ModelArtifacts
    from nanoaccel.exporters.source.drafts import DraftChoice


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
        folder: Of the bundle in the making; all else stands in it.
        plan: What was to be made.
        artifacts: Of the original.
        made: The graphs.
        draft: What guesses for them.
        progress: Knows the stages.
        opens_in_genai: Whether OpenVINO GenAI opens the bundle too.
    """
    compression = made.graphs[0].compression
    recipe = compression.recipe
    notes = (recipe.note, plan.options.note, made.note)
    report = Report(
        model=plan.model,
        recipe=recipe.describe(),
        note=". ".join(note for note in notes if note),
        context=describe_context(plan.config, plan.context),
        architecture=plan.config.model_type,
        parameters=artifacts.parameters,
        graphs=[
            ReportedGraph(runtime=graph.target, bytes=graph.bytes, fidelity=graph.fidelity)
            for graph in made.graphs
        ],
        weights=compression.weights,
        storage=compression.storage,
        checkpoint="" if plan.checkpoint is None else plan.checkpoint.describe(),
        kept=compression.kept,
        fused_projections=compression.fused_projections,
        calibration=(artifacts.text or "") if recipe.calibrated else "",
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
    names = artifacts.fingerprint, artifacts.content
    write_manifest(folder, report, plan.source, recipe, plan.context, *names)
