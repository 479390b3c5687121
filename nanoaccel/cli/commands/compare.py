"""``nanoaccel compare``: two models on the same prompts, side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nanoaccel.cli.loading import closed_at_end
from nanoaccel.cli.options.comparison import AnswerOptions
from nanoaccel.cli.ui.progress import working
from nanoaccel.cli.ui.table import table
from nanoaccel.folders import whole_file

_PAGE = Path("comparison.html")


def compare(
    a: Path,
    b: Path,
    answering: AnswerOptions,
    prompts: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="A prompt on each line, or data to learn from as JSON lines."
        ),
    ],
    limit: Annotated[int | None, typer.Option(help="Prompts at most, the first ones.")] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The page with both answers.",
            show_default=f"{_PAGE}; none with --json",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Let two models answer the same prompts, and show what differs.

    A and B are bundles, or folders of models, which torch runs. Each takes the likeliest token.
    Then both read A's answers, and their predictions are compared token by token. One model is
    loaded at a time.
    """
    from nanoaccel.evaluation.comparison import compare as run
    from nanoaccel.evaluation.comparison import read_prompts

    asked, options = read_prompts(prompts, limit), answering.options()
    with working("comparing") as show:
        found = run(a, b, asked, options, listener=show, closing=closed_at_end)
    from nanoaccel.cli.ui.comparison.page import html_page
    from nanoaccel.cli.ui.comparison.summary import facts, prompt_rows, summary_rows

    if as_json:
        typer.echo(json.dumps(facts(found)))
    else:
        typer.echo(f"{table(summary_rows(found))}\n\n{table(prompt_rows(found))}\n")
    page = _PAGE if html is None and not as_json else html
    if page is None:
        return
    with whole_file(page) as partial:
        partial.write_text(html_page(found), encoding="utf-8")
    if not as_json:
        typer.echo(f"Side by side: {page}")
