"""Options in the panels of the help that several groups share."""

from __future__ import annotations

from typing import Any

import typer


def in_engine(*, help: str, metavar: str | None = None) -> Any:
    """An option in the panel of the engine."""
    return typer.Option(help=help, metavar=metavar, rich_help_panel="Engine")


def in_cache(*names: str, help: str, metavar: str | None = None) -> Any:
    """An option in the panel of the cache."""
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel="Cache")
