"""``nanoaccel plugins new``: the package of a plugin, to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanoaccel.errors import ConfigError


def new(
    context: typer.Context,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="drafter, eviction_policy, logits_processor, grammar, compression_method, "
            "calibration_source, model_source, export_target, adapter_method, backend, "
            "event_listener, command or server_route.",
        ),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What users will call it.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where its folder is made.")
    ] = Path(),
) -> None:
    """Write a package that installs, with a test that passes."""
    from nanoaccel.cli.kit.package import write_package

    if kind == "command" and name in getattr(context.find_root().command, "commands", {}):
        raise ConfigError(f"there is a command {name!r}", "Choose another name")
    package = write_package(kind, name, out)
    typer.echo(f'{package}: next, cd {package} && pip install -e ".[test]" && pytest')
