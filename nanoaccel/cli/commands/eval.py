"""``nanoaccel eval``: what compression cost, in llama.cpp's terms."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanoaccel.cli.options.evaluation import ComparisonOptions, TaskOptions
from nanoaccel.cli.ui.fidelity_text import nats, percent
from nanoaccel.cli.ui.progress import working
from nanoaccel.cli.ui.table import table

if TYPE_CHECKING:
    from nanoaccel.calibration.metrics import Fidelity, Perplexity


def eval(
    bundle: Path,
    comparison: ComparisonOptions,
    tasks: TaskOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure what compression cost: perplexity, KL divergence, agreement; or do tasks.

    BUNDLE is a bundle's folder, or a plain folder that optimum-intel exported.
    """
    names = tasks.names()
    if names:
        from nanoaccel.evaluation.tasks import results_table, run_tasks

        with working("loading the tasks") as show:
            results = run_tasks(
                bundle,
                names,
                limit=tasks.limit,
                num_fewshot=tasks.num_fewshot,
                chat=tasks.chat,
                include=tasks.include_path,
                precision=comparison.precision,  # type: ignore[arg-type]
                adapter=comparison.adapter,
                listener=show,
            )
        typer.echo(json.dumps(results, default=str) if as_json else results_table(results))
        return
    from nanoaccel.evaluation import evaluate, perplexity

    found: Fidelity | Perplexity
    with working("reading the text") as show:
        if comparison.compares:
            against = comparison.against
            found = evaluate(bundle, against=against, **comparison.reading(), listener=show)
        else:
            found = perplexity(bundle, **comparison.reading(), listener=show)
    typer.echo(json.dumps(asdict(found)) if as_json else table(rows(found)))


def rows(found: Fidelity | Perplexity) -> list[tuple[str, str]]:
    """What was found, a line each: name, value and standard error."""
    from nanoaccel.calibration.metrics import Perplexity

    own = [
        ("text", found.text),
        ("tokens", f"{found.tokens:,}"),
        ("perplexity", f"{found.perplexity:.2f} ± {found.perplexity_error:.2f}"),
    ]
    if isinstance(found, Perplexity):
        return own
    return [
        *own,
        ("perplexity of the reference", f"{found.reference_perplexity:.2f}"),
        ("ln of their ratio", f"{found.log_ratio:.4f} ± {found.log_ratio_error:.4f}"),
        ("KL divergence, mean", f"{nats(found.kl)} ± {nats(found.kl_error)} nats a token"),
        ("KL divergence, median", nats(found.kl_median)),
        ("KL divergence, 99th percentile", nats(found.kl_99)),
        ("same likeliest token", percent(found.top1_agreement, found.top1_error)),
        (
            "change of the right token's probability, mean",
            percent(found.probability_change, found.probability_change_error, digits=2),
        ),
        ("... root mean square", percent(found.probability_change_rms, digits=2)),
    ]
