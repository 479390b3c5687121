"""``nanoaccel config``: every setting, its value, and where that comes from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nanoaccel.cli.effective import Effective, effective_settings
from nanoaccel.cli.options import (
    EngineOptions,
    ReplicaOptions,
    ReuseOptions,
    SpeculationOptions,
    llm_arguments,
)
from nanoaccel.cli.ui.table import table
from nanoaccel.config_file import config_paths, user_file


def config(
    engine: EngineOptions,
    replicas: ReplicaOptions,
    speculation: SpeculationOptions,
    reuse: ReuseOptions,
    bundle: Annotated[Path | None, typer.Argument(show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show every setting with its value, and where that comes from.

    With BUNDLE, a bundle's folder, also what was tuned for it here. Options of the engine count as
    they would for a command that loads it.
    """
    found = effective_settings(bundle, llm_arguments(engine, replicas, speculation, reuse))
    files = config_paths()
    if as_json:
        settings = [{k: v for k, v in asdict(row).items() if k != "public"} for row in found]
        content = {"files": files, "settings": settings}
        typer.echo(json.dumps(content, default=str))
        return
    rows = [(row.name, value_text(row), _origin(row)) for row in found]
    typer.echo(table([("setting", "value", "from"), *rows]))
    if not files:
        typer.echo(f"\nNo nanoaccel.toml in this folder or above it, nor {_user_file()}.")


def value_text(row: Effective) -> str:
    """A value for people."""
    if row.value is None:
        return "-"
    if isinstance(row.value, bool):
        return "true" if row.value else "false"
    if isinstance(row.value, tuple):
        return ", ".join(map(str, row.value)) if row.value else "none"
    return str(row.value)


def _origin(row: Effective) -> str:
    return row.place if row.place else row.origin


def _user_file() -> str:
    try:
        return str(user_file())
    except RuntimeError:  # a user without a home folder
        return "in a home folder"
