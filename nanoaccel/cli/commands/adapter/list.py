"""``nanoaccel adapter list``: the adapters of a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from nanoaccel.cli.ui.sizes import bytes_text
from nanoaccel.cli.ui.table import table


def list_(
    bundle: Path,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Show the adapters of a bundle.

    BUNDLE is a bundle's folder.
    """
    from nanoaccel.adapters.folder import read_adapter
    from nanoaccel.bundle import Bundle
    from nanoaccel.bundle.adapters import AdapterFiles

    def facts(name: str, files: AdapterFiles) -> dict[str, Any]:
        read = read_adapter(files.folder)
        return {
            "name": name,
            "base": read.base_name,
            "rank": max(low.rank for low in read.modules.values()),
            "modules": len(read.modules),
            "size": files.size,
            "written": bytes_text(files.size),
        }

    found = [facts(name, files) for name, files in Bundle.open(bundle).adapters().items()]
    if as_json:
        typer.echo(json.dumps(found))
        return
    if not found:
        typer.echo(f"{bundle} has no adapters; nanoaccel adapter add puts one in")
        return
    rows = [
        tuple(str(one[key] or "-") for key in ("name", "base", "rank", "modules", "written"))
        for one in found
    ]
    typer.echo(table([("NAME", "BASE", "RANK", "MODULES", "SIZE"), *rows]))
