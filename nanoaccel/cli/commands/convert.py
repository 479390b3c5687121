"""``nanoaccel convert``: from one kind of model, bundle or file to another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nanoaccel.cli.options.calibration import CalibrationFlags
from nanoaccel.cli.options.convert import ConvertFlags
from nanoaccel.cli.options.recipe import RecipeFlags
from nanoaccel.cli.ui.progress import stages
from nanoaccel.cli.ui.sizes import bytes_text
from nanoaccel.exporters.convert.ways import WAYS, Way


def convert(
    source: str,
    out: Path,
    recipe: RecipeFlags,
    calibration: CalibrationFlags,
    flags: ConvertFlags,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what stands at OUT, if it is of its kind.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    from nanoaccel.exporters.convert.request import ConvertOptions
    from nanoaccel.exporters.convert.ways import convert as run_convert

    options = ConvertOptions(
        runtime=flags.runtime,
        recipe=recipe.build(),
        calibration=calibration.build(),
        judge_tokens=flags.judge_tokens,
        original=flags.original,
        gguf_type=flags.gguf_type,
        overwrite=overwrite,
    )
    with stages() as listener:
        made = run_convert(source, out, to=flags.to, options=options, listener=listener)
    size = _size(made.path)
    if as_json:
        facts = {"path": str(made.path), "kind": made.kind, "bytes": size, "how": made.how}
        typer.echo(json.dumps({**facts, "notes": list(made.notes)}))
        return
    typer.echo(f"{made.path}: {made.kind}, {bytes_text(size)}\n{made.how}")
    for note in made.notes:
        typer.echo(f"note: {note}")


def _size(path: Path) -> int:
    from nanoaccel.bundle.listing import folder_size

    return folder_size(path) if path.is_dir() else path.stat().st_size


def _help() -> str:
    """The help, with the table of ways in it."""
    lines = [
        "Turn a model, a bundle, a folder or a file into another kind.",
        "",
        "SOURCE is a hub id, a folder, a .gguf file, or 'sample'; what a folder is, its files say. "
        "OUT is made new, whole or not at all.",
    ]
    for (source, target), way in WAYS.items():
        if isinstance(way, Way):
            lines += ["", f"{source} to {target}: {way.how}."]
    return "\n".join(lines)


convert.__doc__ = _help()
