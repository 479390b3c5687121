"""Bundles made of the weights of an OpenVINO graph, where the original is not at hand.

recipe unchanged   the graph's codes, scales and zero points go into the new graph as they are
another recipe     the weights are decoded, and compressed anew: what was lost stays lost
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.bundle import Bundle, GraphEntry, Manifest
from nanoaccel.cached_json import versions_of
from nanoaccel.exporters.convert.bundle_parts import for_runtimes, keep_draft, recipe_of
from nanoaccel.exporters.convert.request import Conversion, Converted
from nanoaccel.exporters.convert.restated import read_manifest, restate
from nanoaccel.exporters.publish import publishing
from nanoaccel.exporters.targets.table import BASE, target_of
from nanoaccel.openvino_core import openvino_core

if TYPE_CHECKING:
    from nanoaccel.exporters.plan import ExportPlan
    from nanoaccel.exporters.quantize.recipe import Recipe
    from nanoaccel.exporters.targets.base import TargetGraph
    from nanoaccel.exporters.targets.self_check import SelfCheck

_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "chat_template.json"),
    *("tokenizer.model", "vocab.json", "merges.txt", "special_tokens_map.json"),
    "additional_chat_templates",
)
_SCRATCH = ".scratch"


def take_over(
    bundle: Bundle, manifest: Manifest, runtimes: tuple[str, ...], conversion: Conversion
) -> Converted:
    """Give a bundle the graphs that its OpenVINO graph's weights make.

    Raises:
        NanoAccelError: As ``recover`` and ``GraphTarget.build``.
    """
    new = [name for name in runtimes if name not in bundle.runtimes]
    with publishing(conversion.out, overwrite=conversion.options.overwrite) as folder:
        shutil.copytree(bundle.folder, folder, dirs_exist_ok=True)
        stated = manifest
        for name in new:
            check = _add_graph(folder, name, manifest, conversion)
            entry = GraphEntry(
                runtime=name, graph=target_of(name).graph, validation=manifest.validation
            )
            facts = {k: getattr(check, k) for k in check.__slots__ if k != "runtime"}
            stated = replace(
                stated,
                also=(*stated.also, entry),
                self_check={**stated.self_check, name: facts},
                tools={**stated.tools, **versions_of(("nanoaccel", *target_of(name).tools))},
            )
        for name in set(bundle.runtimes) - set(runtimes):
            shutil.rmtree(folder / name)
        keep_draft(bundle, folder, runtimes)
        note = f"The graph for {', '.join(new)} has the weights of the OpenVINO graph, taken over"
        restate(folder, for_runtimes(stated, runtimes), note)
    return Converted(conversion.out, "bundle", f"{note}: their codes are the same")


def _add_graph(folder: Path, name: str, manifest: Manifest, conversion: Conversion) -> SelfCheck:
    """Make the graph for another runtime in the folder of a bundle in the making."""
    from nanoaccel.exporters.make_graphs import check_graph, judge_graph
    from nanoaccel.exporters.targets.base import BuildRequest
    from nanoaccel.exporters.targets.capture import capture_artifacts

    progress, scratch = conversion.progress, folder / _SCRATCH
    scratch.mkdir()
    checkpoint = write_checkpoint(folder / BASE.graph, folder, scratch / "model", conversion)
    plan = _plan(checkpoint, folder, name, conversion)
    recipe = recipe_of(manifest)
    target_of(name).check_recipe(recipe)
    (scratch / "work").mkdir()
    for part in _TOKENIZER[:3]:
        if (folder / part).is_file():
            shutil.copyfile(folder / part, scratch / "work" / part)
    context = manifest.target.context_length  # what the OpenVINO graph was traced for
    artifacts = capture_artifacts(
        plan.source, plan.config, scratch / "work", plan.capture, (), context, progress
    )
    target_of(name).prepare(artifacts, progress)
    source = _source(folder / BASE.graph, recipe)
    request = BuildRequest(artifacts, plan.options, folder, source)
    graph = target_of(name).build(request, progress)
    graph = judge_graph(target_of(name), graph, request, progress)
    check = check_graph(folder, graph, artifacts, progress)
    shutil.rmtree(scratch)
    return check


def _plan(checkpoint: Path, folder: Path, name: str, conversion: Conversion) -> ExportPlan:
    from nanoaccel.exporters.plan import plan_export
    from nanoaccel.exporters.quantize.recipe import Recipe
    from nanoaccel.exporters.targets.options import ExportOptions

    options = ExportOptions(
        recipe=Recipe(weights="f32"),
        calibration=None,
        judge_tokens=512,
        search_seconds=None,
        draft="none",
        targets=(name,),
        fallback=False,
    )
    return plan_export(str(checkpoint), folder, options, conversion.progress)


def _source(path: Path, recipe: Recipe) -> TargetGraph:
    """The graph that is there, as the build of another takes it."""

    from nanoaccel.exporters.quantize.compression import weight_statistics
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.targets.base import Compression, TargetGraph

    with quiet():
        weights = weight_statistics(openvino_core().read_model(path))
    compression = Compression(
        recipe=recipe, weights=weights, storage={}, fused_projections=0, kept=0
    )
    return TargetGraph(
        target=BASE.name,
        path=path,
        bytes=path.with_suffix(".bin").stat().st_size,
        compression=compression,
    )


def write_checkpoint(graph: Path, tokenizer: Path, folder: Path, conversion: Conversion) -> Path:
    """A model's folder, as transformers reads it, of the weights of a graph.

    Args:
        graph: The OpenVINO graph.
        tokenizer: Folder of the tokenizer's files.
        folder: Output folder; made new.
        conversion: Its progress learns the stage.
    """
    from nanoaccel.exporters.convert.recovered import recover
    from nanoaccel.exporters.quiet import quiet

    with conversion.progress.stage("take the weights out of the graph"), quiet():
        recover(graph).model.save_pretrained(folder)
    for name in _TOKENIZER:
        if (tokenizer / name).is_dir():
            shutil.copytree(tokenizer / name, folder / name)
        elif (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, folder / name)
    return folder


def requantize(
    bundle: Bundle, manifest: Manifest, runtimes: tuple[str, ...], conversion: Conversion
) -> Converted:
    """Compress a bundle's own weights anew.

    Raises:
        NanoAccelError: As ``recover`` and ``export``.
    """
    options, before = conversion.options, recipe_of(manifest).describe()
    note = (
        f"Made of the weights of a bundle of {before}, not of the original: what those lost stays "
        "lost, and what was measured is the difference from them"
    )
    with publishing(conversion.out, overwrite=options.overwrite) as folder:
        recipe = recipe_of(manifest) if options.recipe is None else options.recipe
        graph = bundle.graph_for(BASE.name)
        export_weights(graph, bundle.tokenizer_folder, folder, runtimes, recipe, conversion)
        keep_draft(bundle, folder, read_runtimes(folder))
        made = read_manifest(folder)
        kept = replace(made.target, fingerprint=manifest.target.fingerprint)
        source = {**manifest.source, "content": made.source.get("content"), "weights": before}
        stated = replace(made, target=kept, source=source, draft=manifest.draft)
        restate(folder, stated, note, model=str(manifest.source.get("id")))
    return Converted(conversion.out, "bundle", "compressed anew", (note,))


def read_runtimes(folder: Path) -> tuple[str, ...]:
    """The runtimes of a bundle in the making."""
    made = read_manifest(folder)
    return (made.target.runtime, *(entry.runtime for entry in made.also))


def export_weights(
    graph: Path,
    tokenizer: Path,
    folder: Path,
    runtimes: tuple[str, ...],
    recipe: Recipe | None,
    conversion: Conversion,
) -> None:
    """Export what a graph's weights make into the folder of a bundle in the making."""
    from nanoaccel.exporters.pipeline import export

    scratch = folder / _SCRATCH
    scratch.mkdir()
    checkpoint = write_checkpoint(graph, tokenizer, scratch / "model", conversion)
    made = export(
        checkpoint,
        scratch / "bundle",
        recipe=recipe,
        calibration=conversion.options.calibration,
        judge_tokens=conversion.options.judge_tokens,
        draft="none",
        runtime="both" if len(runtimes) > 1 else runtimes[0],
        listener=conversion.progress.listener,
    )
    for path in made.folder.iterdir():
        path.rename(folder / path.name)
    shutil.rmtree(scratch)
