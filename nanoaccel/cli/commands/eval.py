"""``nanoaccel eval``: what compression cost, in llama.cpp's terms."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanoaccel.cli.ui.fidelity_text import nats, percent
from nanoaccel.cli.ui.progress import working
from nanoaccel.cli.ui.table import table
from nanoaccel.errors import ConfigError

if TYPE_CHECKING:
    from nanoaccel.calibration.metrics import Fidelity, Perplexity

_NONE = "none"
_HARNESS = "lm-evaluation-harness"


def _tasks(*names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=_HARNESS)


def eval(
    bundle: Path,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL|BUNDLE|none",
            help="What it is compared with; the model that it was made from when not given.",
        ),
    ] = None,
    text: Annotated[
        str,
        typer.Option(
            metavar="FILE|docs|DATASET", help="What is read; docs is Python's language reference."
        ),
    ] = "docs",
    column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the text's rows to read.")
    ] = None,
    tokens: Annotated[int, typer.Option(help="Tokens to read, where the text has as many.")] = (
        16384
    ),
    length: Annotated[
        int | None,
        typer.Option(help="Tokens of a window, read for itself; 512 where the context has room."),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="f32|auto",
            help="f32 shows what compression costs, auto all that happens on this CPU.",
        ),
    ] = "f32",
    tasks: Annotated[
        str | None, _tasks(metavar="NAME,...", help="Do these tasks, and compare with nothing.")
    ] = None,
    limit: Annotated[int | None, _tasks(help="Documents of each task at most.")] = None,
    num_fewshot: Annotated[
        int | None, _tasks(help="Solved examples before each question; else as the task says.")
    ] = None,
    chat: Annotated[
        bool, _tasks("--chat", help="Put questions through the model's chat template.")
    ] = False,
    include_path: Annotated[
        Path | None, _tasks(metavar="DIR", help="A folder of tasks of your own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure what compression cost: perplexity, KL divergence, agreement; or do tasks.

    BUNDLE is a bundle's folder, or a plain folder that optimum-intel exported.
    """
    if tasks is not None:
        from nanoaccel.evaluation.tasks import results_table, run_tasks

        with working("loading the tasks") as show:
            results = run_tasks(
                bundle,
                parse_names(tasks),
                limit=limit,
                num_fewshot=num_fewshot,
                chat=chat,
                include=include_path,
                precision=precision,  # type: ignore[arg-type]
                listener=show,
            )
        typer.echo(json.dumps(results, default=str) if as_json else results_table(results))
        return
    from nanoaccel.evaluation import evaluate, perplexity

    found: Fidelity | Perplexity
    with working("reading the text") as show:
        given: dict[str, Any] = {
            "text": text,
            "column": column,
            "tokens": tokens,
            "length": length,
            "precision": precision,
            "listener": show,
        }
        if against == _NONE:
            found = perplexity(bundle, **given)
        else:
            found = evaluate(bundle, against=against, **given)
    typer.echo(json.dumps(asdict(found)) if as_json else table(rows(found)))


def parse_names(text: str) -> tuple[str, ...]:
    """The names in ``a,b``.

    Raises:
        ConfigError: There is none, or an empty one.
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ConfigError(f"--tasks {text!r} is not a list of names", "Write it as arc_easy,piqa")
    return names


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
