"""The export, stage by stage: from a model's name to a published bundle."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.bundle import Bundle
from nanoaccel.bundle.attention import uniform_length
from nanoaccel.calibration.datasets.options import CalibrationOptions
from nanoaccel.exporters.failures import named_failures
from nanoaccel.exporters.making import Made, make
from nanoaccel.exporters.options import ExportOptions, check_room, check_runtimes, settle, wanted_of
from nanoaccel.exporters.progress import Listener, Progress
from nanoaccel.exporters.publish import publishing
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quantize.requirements import check_installed
from nanoaccel.exporters.source.drafts import choose_draft, place_draft
from nanoaccel.exporters.targets.runtimes import OPENVINO, wanted_runtimes

if TYPE_CHECKING:
    from transformers import PretrainedConfig


# Tokens over which a model is judged: to see that it is sound, and to choose by.
_QUICK = 4096
_CAREFUL = 16384


def export(
    model: str | Path,
    out: str | Path,
    *,
    recipe: Recipe | None = None,
    calibration: CalibrationOptions | None = None,
    judge_tokens: int | None = None,
    search_seconds: float | None = None,
    draft: str = "auto",
    runtime: str = "auto",
    overwrite: bool = False,
    listener: Listener | None = None,
) -> Bundle:
    """Turn a model into a bundle.

    Args:
        model: Hub id, folder, .gguf file, or "sample".
        out: The bundle's folder; it appears whole, when all is done.
        recipe: How the weights are stored; None chooses by the size of the model, so that it loses
            little (``defaults.default_recipe``).
        calibration: Text for calibrated recipes; None is Python's language reference.
        judge_tokens: Tokens over which the result is compared with the original; None is 4,096,
            and 16,384 where limits or a search depend on it.
        search_seconds: Time for the export, in which recipes are tried and the best under the
            recipe's limits is taken; None makes what the recipe says. A search that was stopped
            goes on.
        draft: Guesses for it: "auto" is a head that comes with NanoAccel, where there is one for
            these weights; "none"; else a head, a bundle, or a model with the same tokenizer, which
            is exported with the same recipe.
        runtime: What runs it: "openvino"; "onnx", with the same compressed weights; "both"; or
            "auto", all that are the fastest at something here: for one request, or for many.
            OpenVINO alone where ONNX Runtime cannot run it, or two graphs would be large.
        overwrite: Whether a bundle that stands at ``out`` is replaced.
        listener: Is told of each stage.

    Raises:
        SourceError: The model or the text cannot be found or read.
        UnsupportedModelError: Its architecture cannot be exported.
        ConfigError: The recipe or the text does not fit the model.
        ExportError: The output cannot be written, the graph does not work, it does not fit into
            memory, or no model keeps the limits.
        MissingExtraError: The extra "export" is not installed.

    Examples:
        >>> from nanoaccel import Recipe, export
        >>> bundle = export("model", "bundle", recipe=Recipe(weights="int8"), runtime="openvino")
        >>> bundle.runtimes
        ('openvino',)
    """
    runtimes = wanted_runtimes(runtime)
    check_installed(runtimes if runtime != "auto" else (OPENVINO,))
    careful = search_seconds is not None or (recipe is not None and recipe.limited)
    order = ExportOptions(
        recipe=recipe,
        calibration=calibration,
        judge_tokens=(_CAREFUL if careful else _QUICK) if judge_tokens is None else judge_tokens,
        search_seconds=search_seconds,
        draft=draft,
        runtimes=runtimes,
        fastest=runtime == "auto",
    )
    progress = Progress((lambda _: None) if listener is None else listener)
    target = Path(out).resolve()
    with publishing(target, overwrite=overwrite) as folder, named_failures(progress):
        _run(str(model), folder, order, progress)
    return Bundle.open(target)


def _run(model: str, folder: Path, order: ExportOptions, progress: Progress) -> None:
    from nanoaccel.exporters.quantize.possible import check_budget, check_draft, check_text
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.reference.artifacts import gather
    from nanoaccel.exporters.report.manifest import write_manifest
    from nanoaccel.exporters.report.text import Report
    from nanoaccel.exporters.source import model_source as sources
    from nanoaccel.exporters.source.memory import weight_bytes
    from nanoaccel.exporters.source.tokenizer_files import write_tokenizer
    from nanoaccel.exporters.targets.openvino.trace import check_supported, context_length

    with progress.stage("find the model"), quiet():
        source = sources.resolve(model)
        config = sources.load_config(source)
        progress.model_type = config.model_type
        check_supported(config)
        checkpoint = sources.find_checkpoint(source)
        asked, order = order, settle(order, source, config, checkpoint)
        check_runtimes(order, config)
        context = context_length(config)
        wanted = wanted_of(order, context)
        check_text(wanted.options, context)
        check_draft(order.draft)
        if checkpoint is None:
            loaded = weight_bytes(source, config, order.settled)
            searching = order.search_seconds is not None
            check_budget(config, order.settled, loaded, searching=searching)
        expected = check_room(source, config, order, folder)
    with progress.stage("write the tokenizer"), quiet():
        end_ids = write_tokenizer(source, folder)
    material = gather(source, config, folder, wanted, end_ids, context, progress)
    choice = choose_draft(order.draft, material.fingerprint, order.runtimes)
    made = make(material, order, folder, progress)
    plain = replace(asked, draft="none", search_seconds=None, runtimes=order.runtimes)
    place_draft(
        choice,
        folder,
        lambda name, place: _run(name, place, plain, progress),
        runtimes=[graph.runtime for graph in made.graphs],
        context=context,
    )
    shutil.rmtree(material.traced)
    with progress.stage("write the bundle"), quiet():
        opens_in_genai = _finish_folders(folder, made)
        graph = made.trial.graph
        report = Report(
            model=model,
            recipe=made.trial.recipe.describe(),
            note=". ".join(
                note for note in (made.trial.recipe.note, order.note, made.note) if note
            ),
            context=_context_text(config, context),
            architecture=config.model_type,
            parameters=material.parameters,
            graphs=made.graphs,
            weights=graph.weights,
            storage=graph.storage,
            checkpoint="" if checkpoint is None else checkpoint.describe(),
            kept=graph.kept,
            fused_projections=graph.fused_projections,
            calibration=(material.text or "") if made.trial.recipe.calibrated else "",
            tried=made.tried,
            left_out=made.left_out,
            self_checks=made.checks,
            opens_in_genai=opens_in_genai,
            draft={"kind": choice.kind, "from": choice.place, "reason": choice.reason},
            seconds=progress.seconds,
            peak_memory=progress.peak_memory,
            expected_memory=expected,
        )
        report.write(folder)
        write_manifest(
            folder,
            report,
            source,
            made.trial.recipe,
            context,
            material.fingerprint,
            material.content,
        )


def _context_text(config: PretrainedConfig, context: int) -> str:
    """How long it is, and why it is no longer."""
    limit = uniform_length(config.get_text_config().to_dict())
    limited = limit is not None and limit[0] == context
    return f"{context:,} tokens" + (f": {limit[1]}" if limit is not None and limited else "")


def _finish_folders(folder: Path, made: Made) -> bool:
    """Complete the folder of OpenVINO's graph, or delete it; whether OpenVINO GenAI reads it."""
    from nanoaccel.exporters.targets.openvino.genai_tokenizer import write_genai_tokenizer

    own = folder / OPENVINO
    generation = own / "generation_config.json"
    if generation.is_file():
        shutil.copyfile(generation, folder / generation.name)
    if all(graph.runtime != OPENVINO for graph in made.graphs):
        shutil.rmtree(own)
        return False
    return write_genai_tokenizer(folder, own)
