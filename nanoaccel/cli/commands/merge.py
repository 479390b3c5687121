"""``nanoaccel merge``: put adapters into a model's weights."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from nanoaccel.cli.installation.extras import need_packages
from nanoaccel.errors import ConfigError


def merge(
    model: str,
    adapters: Annotated[list[Path], typer.Argument(metavar="ADAPTER...")],
    out: Path,
    weights: Annotated[
        str | None,
        typer.Option(metavar="W,...", help="Weight of each adapter.", show_default="1 each"),
    ] = None,
    how: Annotated[
        str,
        typer.Option(
            metavar="linear|ties|dare_linear|dare_ties", help="How several become one change."
        ),
    ] = "linear",
    density: Annotated[
        float, typer.Option(help="With ties and dare, the share of a change that is kept.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(help="With dare, of what is kept.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what was merged to OUT before.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Put one or more adapters into the weights of a model, in the model's own precision.

    MODEL is a hub id, a folder, a .gguf file, or 'sample'. OUT becomes a model's folder, which is
    exported like any other.
    """
    need_packages("nanoaccel merge", "finetune", "torch", "transformers", "peft")
    from nanoaccel.cli.ui.progress import stages
    from nanoaccel.finetune.adapters.deltas import MergeOptions
    from nanoaccel.finetune.merge import merge as run

    options = MergeOptions(
        weights=(1.0,) * len(adapters) if weights is None else _numbers(weights),
        how=how,  # type: ignore[arg-type]
        density=density,
        seed=seed,
    )
    with stages() as listener:
        made = run(model, adapters, out, options, overwrite=overwrite, listener=listener)
    if as_json:
        facts = {"folder": str(made.folder), "matrices": made.matrices, "notes": list(made.notes)}
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{made.folder}: {made.matrices} matrices changed")
    for note in made.notes:
        typer.echo(f"note: {note}")
    folder = shlex.quote(str(out))
    typer.echo(f"\nTry it:\n  nanoaccel export {folder} {shlex.quote(f'{out}-bundle')}")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--weights {text!r} are no numbers", "Write them as 0.7,0.3") from error
