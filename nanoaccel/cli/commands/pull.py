"""``nanoaccel pull``: a model of the hub, on this disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nanoaccel.cli.ui.progress import stages
from nanoaccel.cli.ui.sizes import bytes_text


def pull(
    model: str,
    folder: Annotated[
        Path | None, typer.Argument(show_default="in the cache folder", help="Where it goes.")
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A file that is wanted, such as '*Q4_0.gguf'; may be repeated.",
            show_default="what a model or a bundle needs",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Download a model or a bundle of the hub, to be found by its name from then on.

    MODEL is its id, org/name or org/name@revision.

    A download that was stopped goes on when the same command is given again. Every file is checked
    by its size and its checksum.
    """
    from nanoaccel.exporters.progress import Progress
    from nanoaccel.exporters.source.hub.pull import pull as run_pull

    with stages() as listener:
        made = run_pull(model, folder, Progress(listener), file or ())
    if as_json:
        facts = {"model": made.id, "commit": made.commit, "folder": str(made.folder)}
        files = [entry.path for entry in made.files]
        typer.echo(json.dumps({**facts, "bytes": made.size, "files": files}))
        return
    typer.echo(f"{made.folder}: {made.id} at {made.commit[:12]}, {bytes_text(made.size)}")
    typer.echo(f"\n{_next(made.folder, made.id)}")


def _next(folder: Path, model: str) -> str:
    from nanoaccel.bundle import Bundle

    if Bundle.is_one(folder):
        return f"Try it:\n  nanoaccel chat {model}"
    return f"Make a bundle of it:\n  nanoaccel export {model} OUT"
