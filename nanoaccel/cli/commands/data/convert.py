"""``nanoaccel data convert``: write data in another form or file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    file: str,
    out: Path,
    to: Annotated[
        str, typer.Option(metavar="messages|prompt|text", help="The form of the rows.")
    ] = "messages",
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out rows that cannot be read.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file of its kind at OUT.")
    ] = False,
) -> None:
    """Write data in one form: conversations, prompts with completions, or texts.

    FILE is a .jsonl or .parquet file, a folder of such or of texts, or a data set on the hub; rows
    of ShareGPT and Alpaca are read too. OUT is a .jsonl or .parquet file.
    """
    from nanoaccel.finetune.data.convert import convert as run

    count, broken = run(file, out, to, skip_broken=skip_broken, overwrite=overwrite)  # type: ignore[arg-type]
    left = f"; {broken:,} that cannot be read are left out" if broken else ""
    typer.echo(f"{out}: {count:,} rows{left}")
