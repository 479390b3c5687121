"""``nanoaccel list``: the bundles and models of this machine."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanoaccel.cli.ui.sizes import bytes_text
from nanoaccel.cli.ui.table import table

if TYPE_CHECKING:
    from nanoaccel.bundle.listing import Listed

_HEAD = ("FOLDER", "MODEL", "RUNTIME", "SIZE", "RECIPE", "USED", "STATE")
_DAY = 86400


def list_(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            show_default="this one, what was pulled, and what was made or used here",
            help="Where to look, two folders deep.",
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check every byte, and not sizes alone.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Show the bundles and the pulled models of this machine."""
    from nanoaccel.bundle.listing import list_folders

    found = list_folders(folders or (), verify=verify)
    if as_json:
        typer.echo(json.dumps([{**asdict(one), "folder": str(one.folder)} for one in found]))
        return
    if not found:
        typer.echo("nothing here: nanoaccel export MODEL OUT makes a bundle", err=True)
        return
    typer.echo(table([_HEAD, *(_row(one) for one in found)]))
    for one in found:
        if one.damage:
            typer.echo(f"\n{one.folder} is damaged: {one.damage}")


def _row(one: Listed) -> tuple[str, ...]:
    state = "damaged" if one.damage else "in use" if one.in_use else "whole"
    return (
        _short(one.folder),
        one.model or "-",
        ", ".join(one.runtimes) or "-",
        bytes_text(one.size),
        one.recipe or "-",
        _ago(one.used),
        state,
    )


def _short(folder: Path) -> str:
    """A path as a user would type it."""
    resolved = folder.resolve()
    if resolved.is_relative_to(Path.cwd()):
        return str(resolved.relative_to(Path.cwd()))
    home = Path.home()
    return f"~/{resolved.relative_to(home)}" if resolved.is_relative_to(home) else str(resolved)


def _ago(used: float | None) -> str:
    if used is None:
        return "-"
    days = int((time.time() - used) // _DAY)
    return "today" if days <= 0 else f"{days} d ago"
