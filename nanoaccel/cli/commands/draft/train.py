"""``nanoaccel draft train``: make a draft for a model."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanoaccel.cli.ui.progress import stages

if TYPE_CHECKING:
    from nanoaccel.finetune.drafts.make import TrainedDraft


def train(
    target: str,
    out: Path,
    kind: Annotated[
        str,
        typer.Option(
            metavar="head|layers",
            help="A head, which reads what the target computes, or some layers of the target.",
        ),
    ] = "head",
    tokens: Annotated[int, typer.Option(help="Tokens that the target writes to learn from.")] = (
        700_000
    ),
    epochs: Annotated[int, typer.Option(help="Times that they are learned.")] = 6,
    vocabulary: Annotated[int, typer.Option(help="Most frequent tokens, that a head guesses.")] = (
        8192
    ),
    layers: Annotated[int, typer.Option(help="With --kind layers, how many are kept.")] = 6,
    text: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Learn from this text, not from what the target writes."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="HEAD",
            help="Begin with this head, made for the same target or one of its sizes.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of prompts, sampling and order.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a draft that stands at OUT.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train a draft for a model, on what the model itself writes.

    TARGET is a bundle, or a model, which is exported first.

    A training that was stopped goes on when the same command is given again.
    """
    from nanoaccel.finetune.drafts.make import train_draft
    from nanoaccel.finetune.drafts.recipe import DraftRecipe

    recipe = DraftRecipe(
        kind=kind,  # type: ignore[arg-type]
        tokens=tokens,
        epochs=epochs,
        vocabulary=vocabulary,
        layers=layers,
        text=text,
        start=start,
        seed=seed,
    )
    with stages() as listener:
        made = train_draft(target, out, recipe, overwrite=overwrite, listener=listener)
    if as_json:
        typer.echo(json.dumps(asdict(made), default=str))
    else:
        typer.echo(_told(made, target))


def _told(made: TrainedDraft, target: str) -> str:
    shares = ", ".join(f"{share:.0%}" for share in made.survival)
    return (
        f"{made.folder}: on text that it has not seen, the first 1, 2, ... guesses are right at "
        f"{shares} of the places\n"
        f"\nSee what it brings:\n  nanoaccel draft rank {target} {made.folder}"
    )
