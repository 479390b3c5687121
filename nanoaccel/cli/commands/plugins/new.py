"""``nanoaccel plugins new``: the package of a plugin, to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def new(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="drafter, eviction_policy, logits_processor, event_listener or command.",
        ),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What users will call it.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where its folder is made.")
    ] = Path(),
) -> None:
    """Write a package that installs, with a test that passes."""
    from nanoaccel.cli.kit.package import write_package

    package = write_package(kind, name, out)
    typer.echo(f'{package}: next, cd {package} && pip install -e ".[test]" && pytest')
