"""``nanoaccel rm``: remove bundles and pulled models."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from nanoaccel.cli.ui.sizes import bytes_text
from nanoaccel.errors import ConfigError


def rm(
    folders: Annotated[list[str], typer.Argument(help="Bundles, or names of what was pulled.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove bundles and pulled models.

    Folders that are neither, that hold other files, or that a process has open are refused, and
    then nothing is removed. Links are not followed.
    """
    from nanoaccel.bundle.removal import find_removable, remove

    found = dict(find_removable(name) for name in folders)
    for folder, size in found.items():
        typer.echo(f"{folder}  {bytes_text(size)}")
    if not yes:
        if not is_terminal():
            raise ConfigError("rm asks, and standard input is no terminal", "Say --yes")
        if input(f"Remove {'it' if len(found) == 1 else 'them'}? [y/N] ").strip().lower() != "y":
            typer.echo("nothing was removed")
            return
    for folder in found:
        remove(folder)
        typer.echo(f"removed {folder}")


def is_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()
