"""``nanoaccel data split``: hold out rows to judge by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def split(
    file: str,
    folder: Path,
    share: Annotated[float, typer.Option(help="Share of the rows that is held out.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Of what is held out.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what stands there.")
    ] = False,
) -> None:
    """Part data into FOLDER/train.jsonl and FOLDER/validation.jsonl; same rows stay together.

    FILE is a .jsonl or .parquet file, a folder of such or of texts, or a data set on the hub.
    """
    from nanoaccel.finetune.data.convert import split as run

    train, held = run(file, folder, share, seed, overwrite=overwrite)
    typer.echo(f"{folder / 'train.jsonl'}: {train:,} rows")
    typer.echo(f"{folder / 'validation.jsonl'}: {held:,} rows")
