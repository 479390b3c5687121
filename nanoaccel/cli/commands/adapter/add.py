"""``nanoaccel adapter add``: put an adapter into a bundle."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from nanoaccel.cli.ui.progress import working


def add(
    bundle: Path,
    adapter: Path,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What requests call it.", show_default="name of the folder"
        ),
    ] = None,
) -> None:
    """Copy an adapter into a bundle, checked; requests ask for it by name.

    BUNDLE is a bundle's folder, ADAPTER is one that peft, or nanoaccel finetune, has saved: LoRA
    or rsLoRA.
    """
    with working(f"checking {adapter}"):
        from nanoaccel.runtime.tools.bundled_adapters import add_to_bundle

        chosen = add_to_bundle(bundle, adapter, name)
    typer.echo(
        f"{bundle} has the adapter {chosen!r}\n"
        f"\nTry it:\n  nanoaccel chat {shlex.quote(str(bundle))} --adapter {chosen}"
    )
