"""``nanoaccel plugins``: what is installed, and whether it can be used."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from nanoaccel.cli.ui.table import table

_HEAD = ("KIND", "NAME", "PACKAGE", "INTERFACE", "LOADS IN", "STATE")
_POINTS_HEAD = ("GROUP", "CAN ALSO HAVE", "NAMES")


def list_plugins(
    context: typer.Context,
    points: Annotated[
        bool, typer.Option("--points", help="Show what can be added, and what there is of it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Show the plugins that are installed; each is imported, to see whether it can be used."""
    if context.invoked_subcommand is None:
        _show_points(as_json) if points else _show_plugins(as_json)


def _show_plugins(as_json: bool) -> None:
    from nanoaccel.registry.inspection import inspect_plugins

    found = inspect_plugins()
    if as_json:
        typer.echo(json.dumps([asdict(plugin) for plugin in found]))
        return
    if not found:
        typer.echo("no plugin is installed: nanoaccel plugins new begins one", err=True)
        return
    rows = [
        (
            plugin.kind,
            plugin.name,
            plugin.package,
            "-" if plugin.interface is None else f"v{plugin.interface}",
            "-" if plugin.seconds is None else f"{plugin.seconds * 1e3:.0f} ms",
            ", ".join(("used", *plugin.capabilities))
            if plugin.problem is None
            else f"not used: {plugin.problem}",
        )
        for plugin in found
    ]
    typer.echo(table([_HEAD, *rows]))


def _show_points(as_json: bool) -> None:
    from nanoaccel.registry import POINTS

    if as_json:
        rows = [
            {
                "group": point.group,
                "interface": point.interface,
                "makes": point.makes,
                "capabilities": point.capabilities,
                "names": point.names(),
            }
            for point in POINTS
        ]
        typer.echo(json.dumps(rows))
        return
    lines = [
        (point.group, ", ".join(point.capabilities) or "-", ", ".join(point.names()) or "-")
        for point in POINTS
    ]
    typer.echo(table([_POINTS_HEAD, *lines]))
