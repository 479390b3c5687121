"""``nanoaccel data check``: what is wrong with data, line by line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from nanoaccel.cli.commands.data.encoders import MaxLength, ModelName, Raw, open_encoder

if TYPE_CHECKING:
    from nanoaccel.finetune.data.records import Problem

_SHOWN = 50  # lines of a kind: a file of another form has one for each row


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
        _print("", found.problems)
        _print("warning: ", found.warnings)
        warnings = f"{len(found.warnings):,} warning{'s' if len(found.warnings) != 1 else ''}"
        typer.echo(f"{found.rows:,} rows: {len(found.problems):,} cannot be learned, {warnings}")
    if found.problems:
        raise typer.Exit(1)


def _print(prefix: str, problems: Sequence[Problem]) -> None:
    """The first ones, a line each, and how many more there are."""
    for problem in problems[:_SHOWN]:
        typer.echo(f"{prefix}{problem}")
    if len(problems) > _SHOWN:
        typer.echo(f"{prefix}... and {len(problems) - _SHOWN:,} more; --json names all")
