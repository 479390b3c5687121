"""``nanoaccel convert``: from one kind of model, bundle or file to another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nanoaccel.cli.options.calibration import CalibrationFlags
from nanoaccel.cli.options.recipe import RecipeFlags
from nanoaccel.cli.ui.progress import stages
from nanoaccel.cli.ui.sizes import bytes_text
from nanoaccel.exporters.convert.ways import WAYS, Way


def convert(
    source: str,
    out: Path,
    recipe: RecipeFlags,
    calibration: CalibrationFlags,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="bundle|gguf|optimum|genai",
            help="What OUT becomes.",
            show_default="gguf for a name that ends in .gguf, else bundle",
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            metavar="openvino|onnx|both|auto",
            help="What runs a bundle.",
            show_default="as it is",
        ),
    ] = None,
    original: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The model that a bundle was made from.",
            show_default="where the bundle says, if it is on this machine",
        ),
    ] = None,
    gguf_type: Annotated[
        str | None,
        typer.Option(
            metavar="f32|bf16|f16|q8_0|q4_1|q4_0",
            help="Type of the matrices of a GGUF file.",
            show_default="as they are stored; q8_0 where there is no such type",
        ),
    ] = None,
    judge_tokens: Annotated[
        int | None,
        typer.Option(
            help="Tokens over which a new recipe is compared.",
            show_default="4096, or 16384 where limits depend on it",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what stands at OUT, if it is of its kind.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    from nanoaccel.exporters.convert.request import ConvertOptions
    from nanoaccel.exporters.convert.ways import convert as run_convert

    options = ConvertOptions(
        runtime=runtime,
        recipe=recipe.build(),
        calibration=calibration.build(),
        judge_tokens=judge_tokens,
        original=original,
        gguf_type=gguf_type,
        overwrite=overwrite,
    )
    with stages() as listener:
        made = run_convert(source, out, to=to, options=options, listener=listener)
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
