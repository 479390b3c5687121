"""``nanoaccel recover``: let a bundle learn what 4 bits lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanoaccel.cli.installation.extras import need_packages
from nanoaccel.cli.options.recovery import RecoveryFlags
from nanoaccel.cli.ui.fidelity_text import nats, percent
from nanoaccel.cli.ui.progress import stages
from nanoaccel.cli.ui.stopping import told_when_stopped

if TYPE_CHECKING:
    from nanoaccel.finetune.recovery.run import Recovered


def recover(
    bundle: Path,
    out: Annotated[Path | None, typer.Argument(show_default="in the place of BUNDLE")] = None,
    *,
    flags: RecoveryFlags,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a bundle that stands at OUT.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Let a bundle's 4-bit weights learn from its original what rounding lost.

    Scales and zero points change; size, speed and draft stay. Ctrl-C ends the learning
    early. What is no better than before is not kept.
    """
    need_packages("nanoaccel recover", "export", "torch", "transformers")
    from nanoaccel.finetune.recovery.run import recover as run

    with stages() as listener, told_when_stopped("nothing was changed"):
        made = run(bundle, out, options=flags.build(), overwrite=overwrite, listener=listener)
    if as_json:
        report = json.loads((made.bundle.folder / "report.json").read_text(encoding="utf-8"))
        typer.echo(json.dumps({**report["recovery"], "bundle": str(made.bundle.folder)}))
    else:
        typer.echo(describe_recovery(made))


def describe_recovery(made: Recovered) -> str:
    """What was learned, and what it is worth, in a few lines."""
    before, after, learned = made.before, made.after, made.learned
    return (
        f"{made.bundle.folder}: KL to the original {nats(before.kl)} before, {nats(after.kl)} "
        f"after (± {nats(after.kl_error)} nats a token),\n"
        f"same likeliest token {percent(before.top1_agreement, before.top1_error)} before, "
        f"{percent(after.top1_agreement, after.top1_error)} after, over {after.tokens:,} tokens of "
        f"{after.text}\n"
        f"learned for {learned.seconds:.0f} s from {learned.tokens:,} tokens of {made.text}"
    )
