"""``nanoaccel data check``: what is wrong with data, line by line."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from nanoaccel.cli.commands.data.encoders import MaxLength, ModelName, Raw, open_encoder


def check(
    file: str,
    model: ModelName = None,
    max_length: MaxLength = 1024,
    raw: Raw = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read data whole, and name every row that cannot be learned.

    FILE is a .jsonl or .parquet file, a folder of such or of texts, or a data set on the hub. The
    exit code is 1 when there is such a row.
    """
    from nanoaccel.finetune.data.check import check as run

    found = run(file, open_encoder(model, max_length, raw=raw))
    if as_json:
        facts = {
            "rows": found.rows,
            "problems": [{"where": one.where, "what": one.what} for one in found.problems],
            "warnings": [{"where": one.where, "what": one.what} for one in found.warnings],
        }
        typer.echo(json.dumps(facts))
    else:
        for problem in found.problems:
            typer.echo(str(problem))
        for warning in found.warnings:
            typer.echo(f"warning: {warning}")
        typer.echo(
            f"{found.rows:,} rows: {len(found.problems):,} cannot be learned, "
            f"{len(found.warnings):,} warnings"
        )
    if found.problems:
        raise typer.Exit(1)
