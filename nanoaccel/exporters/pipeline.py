"""The export, stage by stage: from a model's name to a published bundle."""

from __future__ import annotations

import gc
import shutil
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.bundle import MANIFEST, Bundle, Manifest, ModelEntry, list_files
from nanoaccel.errors import MissingExtraError
from nanoaccel.exporters.drafts import choose_draft, place_draft
from nanoaccel.exporters.fingerprint import fingerprint
from nanoaccel.exporters.progress import Listener, Progress
from nanoaccel.exporters.publish import check_space, publishing
from nanoaccel.exporters.recipe import Recipe

if TYPE_CHECKING:
    from nanoaccel.exporters.report import Report
    from nanoaccel.exporters.source import Source

_RUNTIME = "openvino"
_NEEDED = (
    "torch",
    "transformers",
    "optimum.intel",
    "nncf",
    "openvino",
    "openvino_tokenizers",
    "accelerate",
    "gguf",
    "psutil",
)
_TOOLS = ("nanoaccel", "openvino", "nncf", "optimum-intel", "transformers", "torch", "tokenizers")


def export(
    model: str | Path,
    out: str | Path,
    *,
    recipe: Recipe | None = None,
    draft: str = "auto",
    overwrite: bool = False,
    listener: Listener | None = None,
) -> Bundle:
    """Turn a model into a bundle.

    Args:
        model: Hub id, folder, .gguf file, or "sample".
        out: The bundle's folder; it appears whole, when all is done.
        recipe: How the weights are stored; None is int4.
        draft: Guesses for it: "auto" is a head that comes with NanoAccel, where there is one for
            these weights; "none"; else a head, a bundle, or a model with the same tokenizer, which
            is exported with the same recipe.
        overwrite: Whether a bundle that stands at ``out`` is replaced.
        listener: Is told of each stage.

    Raises:
        SourceError: The model cannot be found or read.
        UnsupportedModelError: Its architecture cannot be exported.
        ExportError: The output cannot be written, or the graph does not work.
        MissingExtraError: The extra "export" is not installed.
    """
    missing = [name for name in _NEEDED if not _is_installed(name)]
    if missing:
        raise MissingExtraError(
            f"export needs {', '.join(missing)}", 'Install them: pip install "nanoaccel[export]"'
        )
    progress = Progress((lambda _: None) if listener is None else listener)
    target = Path(out).resolve()
    with publishing(target, overwrite=overwrite) as folder:
        _run(str(model), folder, Recipe() if recipe is None else recipe, progress, draft)
    return Bundle.open(target)


def _run(model: str, folder: Path, recipe: Recipe, progress: Progress, draft: str) -> None:
    from nanoaccel.exporters import source as sources
    from nanoaccel.exporters.openvino.build import build_graph
    from nanoaccel.exporters.openvino.genai_tokenizer import write_genai_tokenizer
    from nanoaccel.exporters.openvino.trace import check_supported, context_length, trace
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.report import Report
    from nanoaccel.exporters.validate import reference_logits, validate, validation_tokens

    traced = folder / "traced"
    with progress.stage("find the model"), quiet():
        source = sources.resolve(model)
        config = sources.load_config(source)
        check_supported(config)
        context = context_length(config)
    with progress.stage("write the tokenizer"), quiet():
        end_ids = sources.write_tokenizer(source, folder)
    with progress.stage("load the weights"), quiet():
        torch_model = sources.load_model(source, recipe.weights, end_ids)
        parameters = torch_model.num_parameters()
        weights_name = fingerprint(torch_model)
        choice = choose_draft(draft, weights_name)
        check_space(folder, recipe.bytes_for(parameters) + torch_model.get_memory_footprint())
    with progress.stage("run the original"), quiet():
        tokens = validation_tokens(folder, config.vocab_size)[:context]
        reference = reference_logits(torch_model, tokens)
    with progress.stage("trace the graph"), quiet():
        trace(torch_model, traced)
        del torch_model
        gc.collect()
    with progress.stage(f"make it {recipe.describe()}"), quiet():
        graph = build_graph(traced, folder / _RUNTIME, recipe)
        shutil.rmtree(traced)
    with progress.stage("compare with the original"), quiet():
        fidelity = validate(graph.path, tokens, reference)
    place_draft(choice, folder, lambda name, place: _run(name, place, recipe, progress, "none"))
    with progress.stage("write the bundle"), quiet():
        opens_in_genai = write_genai_tokenizer(folder, folder / _RUNTIME)
        generation = folder / _RUNTIME / "generation_config.json"
        if generation.is_file():
            shutil.copyfile(generation, folder / generation.name)
        report = Report(
            model=model,
            recipe=recipe.describe(),
            architecture=config.model_type,
            parameters=parameters,
            graph_bytes=graph.bytes,
            weights=graph.weights,
            fused_projections=graph.fused_projections,
            fidelity=fidelity,
            opens_in_genai=opens_in_genai,
            draft={"kind": choice.kind, "from": choice.place, "reason": choice.reason},
            seconds=progress.seconds,
            peak_memory=progress.peak_memory,
        )
        report.write(folder)
        _write_manifest(folder, report, source, recipe, graph.path, context, weights_name)


def _write_manifest(
    folder: Path,
    report: Report,
    source: Source,
    recipe: Recipe,
    graph: Path,
    context: int,
    weights_name: str,
) -> None:
    """Last of all: it lists every other file of the bundle."""
    manifest = Manifest(
        target=ModelEntry(
            runtime=_RUNTIME,
            graph=graph.relative_to(folder).as_posix(),
            architecture=report.architecture,
            context_length=context,
            parameters=report.parameters,
            fingerprint=weights_name,
            weight_group_size=report.weights.group_size,
        ),
        source={"id": source.id, "revision": source.revision},
        recipe=asdict(recipe),
        tools=_tool_versions(),
        validation=asdict(report.fidelity),
        draft=report.draft,
        files=list_files(folder),
    )
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")


def _is_installed(module: str) -> bool:
    parent = module.partition(".")[0]
    return find_spec(parent) is not None and find_spec(module) is not None


def _tool_versions() -> dict[str, str]:
    found = {}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
