"""Writes what a bundle says of itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.bundle import MANIFEST, GraphEntry, Manifest, ModelEntry, list_files
from nanoaccel.cached_json import versions_of
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.report.text import Report
from nanoaccel.exporters.targets.self_check import SelfCheck
from nanoaccel.exporters.targets.table import TARGETS

if TYPE_CHECKING:
    from nanoaccel.exporters.source.model_source import Source

_TOOLS = ("nanoaccel", "openvino", "nncf", "optimum-intel", "transformers", "torch", "tokenizers")


def write_manifest(
    folder: Path,
    report: Report,
    source: Source,
    recipe: Recipe,
    context: int,
    weights_name: str,
    content: str,
) -> None:
    """Write the manifest, last of all: it lists every other file of the bundle.

    Args:
        folder: Of the bundle.
        report: What was made.
        source: Where the model came from.
        recipe: How its weights were compressed.
        context: Tokens that it can attend to.
        weights_name: Names the original weights.
        content: Names the original, with its configuration and tokenizer.
    """
    first, *also = report.graphs
    own = [tool for graph in report.graphs for tool in TARGETS[graph.runtime].tools]
    manifest = Manifest(
        target=ModelEntry(
            runtime=first.runtime,
            graph=TARGETS[first.runtime].graph,
            architecture=report.architecture,
            context_length=context,
            parameters=report.parameters,
            fingerprint=weights_name,
            weight_group_size=report.weights.group_size,
        ),
        source={"id": source.id, "revision": source.revision, "content": content},
        recipe=recipe.to_json(),
        tools=versions_of((*_TOOLS, *own)),
        validation=asdict(first.fidelity),
        draft=report.draft,
        files=list_files(folder),
        also=tuple(
            GraphEntry(
                runtime=graph.runtime,
                graph=TARGETS[graph.runtime].graph,
                validation=asdict(graph.fidelity),
            )
            for graph in also
        ),
        self_check={check.runtime: _facts(check) for check in report.self_checks},
    )
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")


def _facts(check: SelfCheck) -> dict[str, object]:
    return {name: value for name, value in asdict(check).items() if name != "runtime"}
