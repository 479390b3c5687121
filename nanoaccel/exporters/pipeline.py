"""The export, stage by stage: from a model's name to a published bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nanoaccel.bundle import Bundle
from nanoaccel.bundle.known import note_made
from nanoaccel.calibration.datasets.options import CalibrationOptions
from nanoaccel.exporters.failures import named_failures
from nanoaccel.exporters.make_graphs import finish_folders, make_graphs
from nanoaccel.exporters.plan import plan_export
from nanoaccel.exporters.progress import Listener, Progress, rare_collections
from nanoaccel.exporters.publish import publishing
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quantize.requirements import check_installed
from nanoaccel.exporters.source.drafts import add_draft, choose_draft
from nanoaccel.exporters.targets.options import ExportOptions
from nanoaccel.exporters.targets.table import packages_of, target_names

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
        recipe: How the weights are stored; None chooses by the size of the model.
        calibration: Text for calibrated recipes; None is Python's language reference.
        judge_tokens: Tokens over which the result is compared with the original; None is 4,096,
            and 16,384 where limits or a search depend on it.
        search_seconds: Seconds for the export, in which recipes are tried and the best under the
            recipe's limits is taken. A search that was stopped goes on. None makes one recipe.
        draft: "auto" is a head that comes with NanoAccel for these weights, if there is one; else
            "none", a head, a bundle, or a model with the same tokenizer.
        runtime: "openvino", "onnx", "both", or "auto": ONNX, or OpenVINO where that cannot be made.
        overwrite: Whether a bundle that stands at ``out`` is replaced.
        listener: Called with the events of each stage.

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
    targets, fallback = target_names(runtime), runtime == "auto"
    check_installed(packages_of(() if fallback else targets))
    options = ExportOptions(
        recipe=recipe,
        calibration=calibration,
        judge_tokens=_judged(recipe, search_seconds) if judge_tokens is None else judge_tokens,
        search_seconds=search_seconds,
        draft=draft,
        targets=targets,
        fallback=fallback,
    )
    progress = Progress((lambda _: None) if listener is None else listener)
    target = Path(out).resolve()
    with publishing(target, overwrite=overwrite) as folder:
        _run_alone(str(model), folder, options, progress)
    return _published(target)


def _published(folder: Path) -> Bundle:
    """The bundle that was made, which ``nanoaccel list`` shows from now on."""
    note_made(folder)
    return Bundle.open(folder)


def _judged(recipe: Recipe | None, search_seconds: float | None) -> int:
    """Tokens to judge by where the user does not say: more where a choice depends on them."""
    careful = search_seconds is not None or (recipe is not None and recipe.limited)
    return _CAREFUL if careful else _QUICK


def _run_alone(model: str, folder: Path, asked: ExportOptions, progress: Progress) -> None:
    """Make a bundle in a folder, as what a process does now; failures get names."""
    with named_failures(progress), rare_collections() as freeze:
        _run(model, folder, asked, progress, freeze)


def _run(
    model: str,
    folder: Path,
    asked: ExportOptions,
    progress: Progress,
    freeze: Callable[[], None] = lambda: None,
) -> None:
    """Make a bundle in a folder, stage by stage; ``freeze`` is called when all is imported."""
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.report.write import write_report
    from nanoaccel.exporters.source.tokenizer_files import write_tokenizer
    from nanoaccel.exporters.targets.capture import capture_artifacts

    with progress.stage("find the model"), quiet():
        plan = plan_export(model, folder, asked, progress)
    freeze()
    options = plan.options
    with progress.stage("write the tokenizer"), quiet():
        end_ids = write_tokenizer(plan.source, folder)
    artifacts = capture_artifacts(
        plan.source, plan.config, folder, plan.capture, end_ids, plan.context, progress
    )
    draft = choose_draft(options.draft, artifacts.fingerprint, options.targets)
    made = make_graphs(artifacts, options, folder, progress)
    plain = replace(asked, draft="none", search_seconds=None, targets=options.targets)
    add_draft(
        draft,
        folder,
        lambda name, into: _run(name, into, plain, progress),
        targets=made.targets,
        context=plan.context,
    )
    artifacts.discard()
    with progress.stage("write the bundle"), quiet():
        opens_in_genai = finish_folders(folder, made)
        write_report(folder, plan, artifacts, made, draft, progress, opens_in_genai=opens_in_genai)
