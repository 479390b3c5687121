"""``nanoaccel export``: make a bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanoaccel.cli.commands.recover import describe_recovery
from nanoaccel.cli.options.calibration import CalibrationFlags, SearchFlags
from nanoaccel.cli.options.plugged import plugged_names
from nanoaccel.cli.options.recipe import RecipeFlags
from nanoaccel.cli.ui.fidelity_text import nats, percent
from nanoaccel.cli.ui.progress import stages
from nanoaccel.cli.ui.sizes import bytes_text
from nanoaccel.cli.ui.stopping import told_when_stopped
from nanoaccel.errors import ConfigError
from nanoaccel.registry import EXPORT_TARGETS

if TYPE_CHECKING:
    from nanoaccel.bundle import Bundle
    from nanoaccel.calibration.datasets.options import CalibrationOptions
    from nanoaccel.exporters.progress import Listener
    from nanoaccel.exporters.quantize.recipe import Recipe
    from nanoaccel.finetune.recovery.options import RecoveryOptions
    from nanoaccel.finetune.recovery.run import Recovered


def export(
    model: str,
    out: Path,
    recipe: RecipeFlags,
    calibration: CalibrationFlags,
    search: SearchFlags,
    draft: Annotated[
        str,
        typer.Option(
            metavar="auto|none|PATH",
            help="What guesses for it: a head, a bundle or a model; auto is what NanoAccel brings.",
        ),
    ] = "auto",
    runtime: Annotated[
        str,
        typer.Option(
            metavar="openvino|onnx|both|auto",
            help="What runs it; auto is onnx, which is fastest, or openvino where the model has no "
            f"such graph. Both have the same weights.{plugged_names(EXPORT_TARGETS)}",
        ),
    ] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a bundle that stands at OUT.")
    ] = False,
    recover: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            help="Then let 4-bit weights learn what rounding lost: see nanoaccel recover.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as one JSON object.")
    ] = False,
) -> None:
    """Turn a model into a bundle with compressed weights.

    MODEL is a hub id, a folder, a .gguf file, or 'sample'. OUT is the bundle's folder, made new.
    """
    from nanoaccel.exporters.pipeline import export as run_export

    wanted, text = recipe.build(), calibration.build()
    learning = None if recover is None else _recovery(recover, model, wanted, text, search)
    _tell_note(wanted)
    with stages() as listener:
        with told_when_stopped("nothing was made"):
            bundle = run_export(
                model,
                out,
                recipe=wanted,
                calibration=text,
                judge_tokens=search.judge_tokens,
                search_seconds=search.seconds,
                draft=draft,
                runtime=runtime,
                overwrite=overwrite,
                listener=listener,
            )
        learned = None if learning is None else _recover(bundle, learning, listener)
    typer.echo(_told(bundle, learned, out, as_json=as_json))


def _tell_note(recipe: Recipe | None) -> None:
    if recipe is not None and recipe.note:
        typer.echo(recipe.note, err=True)


def _told(bundle: Bundle, learned: Recovered | None, out: Path, *, as_json: bool) -> str:
    report = json.loads((bundle.folder / "report.json").read_text(encoding="utf-8"))
    if as_json:
        return json.dumps({**report, "bundle": str(bundle.folder)})
    parts = [describe_export(bundle, report)]
    if learned is not None:
        parts.append(describe_recovery(learned))
    return "\n".join([*parts, f"\nTry it:\n  {_next_command(bundle, out)}"])


def _recovery(
    minutes: float,
    model: str,
    recipe: Recipe | None,
    text: CalibrationOptions | None,
    search: SearchFlags,
) -> RecoveryOptions:
    """The options of the recovery; what cannot be recovered is refused before the export."""
    from nanoaccel.finetune.recovery.options import RecoveryOptions, teaching_options

    if recipe is not None and recipe.weights != "int4":
        raise ConfigError(
            f"--recover learns scales and zero points of int4, and not {recipe.weights}",
            "Leave it out, or choose --weights int4",
        )
    given = (
        {} if text is None else {"source": text.source, "column": text.column, "seed": text.seed}
    )
    options = RecoveryOptions(minutes=minutes, text=teaching_options(**given), original=model)
    if search.judge_tokens is None:
        return options
    return replace(options, judge_tokens=search.judge_tokens)


def _recover(bundle: Bundle, options: RecoveryOptions, listener: Listener) -> Recovered:
    """Recover a bundle in its place; when that fails, what was exported stays."""
    from nanoaccel.finetune.recovery.run import recover

    with told_when_stopped(f"{bundle.folder} is as it was exported"):
        return recover(bundle.folder, options=options, listener=listener)


def describe_export(bundle: Bundle, report: dict[str, Any]) -> str:
    """What was made and how close it is to the original, in a few lines."""
    files = () if bundle.manifest is None else bundle.manifest.files
    size = sum(entry.size for entry in files)
    fidelity = report["fidelity"]
    notes = f"\nnote: {report['note']}" if report["note"] else ""
    return (
        f"{bundle.folder}: {report['recipe']}, for {', '.join(bundle.runtimes)}, "
        f"{bytes_text(size)}, "
        f"{report['bits_per_weight']:.2f} bits per weight\n"
        f"KL to the original {nats(fidelity['kl'])} ± {nats(fidelity['kl_error'])} nats a token, "
        "same likeliest token "
        f"{percent(fidelity['top1_agreement'], fidelity['top1_error'])},\n"
        f"over {fidelity['tokens']:,} tokens of {fidelity['text']}\n"
        f"draft: {report['draft']['kind']}, {report['draft']['reason']}{notes}"
    )


def _next_command(bundle: Bundle, out: Path) -> str:
    import shlex

    from nanoaccel.text import Tokenizer

    folder = shlex.quote(str(out))
    if Tokenizer.load(bundle.tokenizer_folder).has_chat_template:
        return f"nanoaccel chat {folder}"
    return f'nanoaccel generate {folder} "Once upon a time"'
