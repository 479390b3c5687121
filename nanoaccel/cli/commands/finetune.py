"""``nanoaccel finetune``: train an adapter, or a model, on a user's data."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanoaccel.cli.installation.extras import need_packages
from nanoaccel.cli.options.finetune import DataFlags, TrainingFlags
from nanoaccel.cli.ui.stopping import told_when_stopped

if TYPE_CHECKING:
    from nanoaccel.finetune.run import Trained


def finetune(
    model: str,
    data: str,
    out: Path,
    flags: TrainingFlags,
    reading: DataFlags,
    seed: Annotated[int, typer.Option(help="Of first weights, order and what is held out.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Stop before the first step, and tell what it takes.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was stopped.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what stands at OUT, and begin anew.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train a model on data: an adapter in PEFT's format, or all its weights.

    MODEL is a hub id, a folder, a .gguf file, or 'sample'. DATA is a .jsonl or .parquet file, a
    folder of such or of texts, or a data set on the hub. OUT is made new.
    """
    need_packages("nanoaccel finetune", "finetune", "torch", "transformers", "peft")
    from nanoaccel.cli.ui.training import training
    from nanoaccel.finetune.run import finetune as run

    with training() as listener, told_when_stopped("go on with the same command and --resume"):
        made = run(
            model,
            data,
            out,
            flags.build(seed),
            reading.build(seed),
            resume=resume,
            overwrite=overwrite,
            plan_only=dry_run,
            listener=listener,
        )
    if as_json:
        typer.echo(json.dumps(_facts(made)))
    elif made.history is not None:
        typer.echo(_told(made, model, adapter=flags.method != "full"))


def _facts(made: Trained) -> dict[str, object]:
    return {
        "folder": str(made.folder),
        "facts": dict(made.planned.rows),
        "warnings": list(made.planned.warnings),
        "history": None if made.history is None else made.history.to_state(),
        "seconds": made.seconds,
        "peak_memory": made.peak_memory,
    }


def _told(made: Trained, model: str, *, adapter: bool) -> str:
    history = made.history
    assert history is not None
    best = history.best
    first = history.evaluations[0].loss
    lines = [f"{made.folder}: {len(history.losses)} steps, {history.tokens:,} tokens"]
    if best is not None and first is not None:
        lines.append(
            f"validation loss {first:.4f} before, {best.loss:.4f} behind step {best.step}, "
            "which is kept"
        )
    folder, merged = shlex.quote(str(made.folder)), shlex.quote(f"{made.folder}-merged")
    exported = shlex.quote(f"{made.folder}-bundle")
    lines += [f"report: {made.folder / 'report.html'}", "", "Try it:"]
    if adapter:
        lines.append(f"  nanoaccel merge {shlex.quote(model)} {folder} {merged}")
    lines.append(f"  nanoaccel export {merged if adapter else folder} {exported}")
    return "\n".join(lines)
