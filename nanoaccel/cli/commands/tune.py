"""``nanoaccel tune``: find the settings that are fastest on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanoaccel.cli.ui.progress import working
from nanoaccel.cli.ui.table import table

if TYPE_CHECKING:
    from nanoaccel.bundle import Bundle
    from nanoaccel.runtime.execution.tuned.search import SearchResult, Trial
    from nanoaccel.runtime.tools.autotune import Tuned

_HEADINGS = ("tried", "median", "quartiles", "rounds", "by kind of pass")


def tune(
    bundle: Path,
    time_budget: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="How long to measure; what has begun is finished."),
    ] = 120.0,
    allow_precision: Annotated[
        bool,
        typer.Option(
            "--allow-precision",
            help="Try precisions of results and cache too. Texts may then differ: other roundings "
            "lead to other tokens, and a smaller cache keeps less of each number.",
        ),
    ] = False,
    delete_tuning: Annotated[
        bool, typer.Option("--forget", help="Remove what was found before, and measure nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure what is fastest on this machine; the bundle is then always loaded so.

    Settings are measured in turns, and one is taken only where it is surely faster than the
    defaults. Options that you set yourself go first. Ctrl-C changes nothing.

    BUNDLE is a bundle's folder.
    """
    from nanoaccel.bundle import Bundle

    opened = Bundle.open(bundle)
    if delete_tuning:
        _forget(opened, as_json)
        return
    from nanoaccel.runtime.tools.autotune import tune as find

    with working("tuning") as tell:
        tuned = find(opened, seconds=time_budget, allow_precision=allow_precision, tell=tell)
    typer.echo(json.dumps(_facts(tuned)) if as_json else describe_tuning(tuned))


def _forget(bundle: Bundle, as_json: bool) -> None:
    from nanoaccel.folders import cache_folder
    from nanoaccel.runtime.cpu.machine import this_machine
    from nanoaccel.runtime.execution.tuned.stored import delete_tuning, fingerprint

    found = delete_tuning(bundle, cache_folder(), fingerprint(this_machine()))
    if as_json:
        typer.echo(json.dumps({"forgotten": found}))
    else:
        typer.echo("Forgotten: defaults are used again" if found else "There was no tuning")


def describe_tuning(tuned: Tuned) -> str:
    """What was tried, what it gained and where it is."""
    from nanoaccel.runtime.tools.autotune import KINDS

    parts = [
        _trials("Passes", tuned.passes, KINDS),
        _trials("Threads and runtimes", tuned.quiet, KINDS),
        _busy(tuned),
        _trials("A long prompt, cut into steps", tuned.steps, ("prompts",)),
        _verdict(tuned),
        f"Kept in {tuned.file}",
    ]
    return "\n\n".join(part for part in parts if part)


def _trials(title: str, found: SearchResult, kinds: Sequence[str]) -> str:
    if not found.trials:
        return (
            "" if found.finished else f"{title}: the time was not enough, give --time-budget more"
        )
    rows = [_HEADINGS, *(_row(trial, kinds) for trial in found.trials)]
    more = "" if found.finished else "\n  The time was not enough for all: give --time-budget more"
    return f"{title}, times as fast as without\n{table(rows, indent=2)}{more}"


def _row(trial: Trial, kinds: Sequence[str]) -> tuple[str, ...]:
    if not trial.ratios:
        return str(trial.setting), "-", "-", "0", f"cannot be had: {trial.problem}"
    low, high = trial.spread
    return (
        str(trial.setting),
        f"{trial.median:.3f}",
        f"{low:.3f} to {high:.3f}",
        str(len(trial.ratios)),
        ", ".join(f"{name} {ratio:.2f}" for name, ratio in zip(kinds, trial.kinds, strict=True)),
    )


def _busy(tuned: Tuned) -> str:
    if not tuned.was_busy:
        return ""
    return (
        f"Other programs used {tuned.others:.1f} CPUs: threads and runtime stay as they are, since "
        "a busy machine says nothing of a quiet one. Tune again when nothing else runs"
    )


def _verdict(tuned: Tuned) -> str:
    tuning = tuned.tuning
    if tuning.gain == 1 and tuning.prompt_gain == 1:
        return "The defaults stay: nothing was surely faster"
    return (
        f"From now on: {tuning.setting}\n"
        f"Passes are {tuning.gain:.2f} times as fast, and long prompts {tuning.prompt_gain:.2f} "
        "times by the size of steps"
    )


def _facts(tuned: Tuned) -> dict[str, Any]:
    return {
        **asdict(tuned.tuning),
        "file": str(tuned.file),
        "others": tuned.others,
        "passes": _found_facts(tuned.passes),
        "quiet": _found_facts(tuned.quiet),
        "prompts": _found_facts(tuned.steps),
    }


def _found_facts(found: SearchResult) -> dict[str, Any]:
    return {
        "gain": found.gain,
        "kinds": found.kinds,
        "finished": found.finished,
        "trials": [
            {
                "setting": asdict(trial.setting),
                "ratios": trial.ratios,
                "kinds": trial.kinds,
                "problem": trial.problem,
            }
            for trial in found.trials
        ],
    }
