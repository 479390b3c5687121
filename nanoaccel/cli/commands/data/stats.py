"""``nanoaccel data stats``: how long examples are."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from nanoaccel.cli.commands.data.encoders import ModelName, Raw, open_encoder
from nanoaccel.cli.ui.table import table

if TYPE_CHECKING:
    from nanoaccel.finetune.data.statistics import Lengths

_WIDTH = 50
_LONGEST = 1 << 20  # tokens: plain texts longer than that count as several


def stats(
    file: str,
    model: ModelName = None,
    raw: Raw = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Count examples and draw their lengths: in tokens where a model is named, else in characters.

    FILE is a .jsonl or .parquet file, a folder of such or of texts, or a data set on the hub.
    """
    from nanoaccel.finetune.data.statistics import measure

    found = measure(file, open_encoder(model, _LONGEST, raw=raw))
    typer.echo(json.dumps(asdict(found)) if as_json else describe(found))


def describe(found: Lengths) -> str:
    """The counts, and a bar for each range of lengths."""
    whole, learned = sum(found.whole), sum(found.learned)
    rows = [
        ("examples", f"{len(found.whole):,}"),
        ("rows that cannot be learned", f"{found.broken:,}"),
        (found.unit, f"{whole:,}, of which {learned:,} are learned ({learned / whole:.0%})"),
        ("shortest", f"{min(found.whole):,}"),
        ("half are at most", f"{found.quantile(0.5):,}"),
        ("95 % are at most", f"{found.quantile(0.95):,}"),
        ("longest", f"{max(found.whole):,}"),
    ]
    bars = found.bars()
    most = max(count for _, _, count in bars)
    drawn = [
        (
            f"{low:,}" if low == high else f"{low:,} to {high:,}",
            f"{count:,}",
            "#" * -(-_WIDTH * count // most),
        )
        for low, high, count in bars
    ]
    return f"{table(rows)}\n\n{table([(found.unit, 'examples', ''), *drawn])}"
