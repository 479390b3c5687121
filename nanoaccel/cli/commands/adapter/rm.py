"""``nanoaccel adapter rm``: take an adapter out of a bundle."""

from __future__ import annotations

from pathlib import Path

import typer


def rm(bundle: Path, name: str) -> None:
    """Remove an adapter from a bundle.

    BUNDLE is a bundle's folder, NAME is what nanoaccel adapter list shows.
    """
    from nanoaccel.bundle.adapters import drop_adapter

    drop_adapter(bundle, name)
    typer.echo(f"removed {name!r} from {bundle}")
