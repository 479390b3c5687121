"""``nanoaccel draft rank``: choose among drafts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanoaccel.cli.ui.progress import working
from nanoaccel.cli.ui.sizes import bytes_text
from nanoaccel.cli.ui.table import table

if TYPE_CHECKING:
    from nanoaccel.runtime.tools.draft_ranking import RankedDraft


def rank(
    target: Path,
    candidates: list[Path],
    max_tokens: Annotated[int, typer.Option(help="Tokens of an answer at most.")] = 96,
    rounds: Annotated[int, typer.Option(help="Times that each prompt is answered.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure drafts for a bundle on this machine, beside n-grams alone.

    TARGET is a bundle, CANDIDATES are heads and bundles with the same tokenizer.
    """
    from nanoaccel.runtime.tools.draft_ranking import rank_drafts

    with working("measuring") as tell:
        ranked = rank_drafts(
            target, candidates, max_tokens=max_tokens, rounds=rounds, progress=tell
        )
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in ranked]))
        return
    header = ("draft", "speed", "tokens a step", "right", "a guess", "size", "memory")
    typer.echo(table([header, *(_row(one) for one in ranked)]))


def _row(one: RankedDraft) -> tuple[str, ...]:
    return (
        one.name,
        f"{one.speed:.2f}x",
        f"{one.tokens_per_step:.2f}",
        " ".join(f"{share:.0%}" for share in one.survival),
        f"{one.seconds_per_guess * 1e3:.1f} ms" if one.seconds_per_guess else "-",
        bytes_text(one.size) if one.size else "-",
        bytes_text(one.memory) if one.memory else "-",
    )
