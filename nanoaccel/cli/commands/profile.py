"""``nanoaccel profile``: where the time and the memory of a bundle go on this machine."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanoaccel.cli.loading import closed_at_end
from nanoaccel.cli.options import EngineOptions
from nanoaccel.cli.ui.progress import working
from nanoaccel.folders import whole_file

if TYPE_CHECKING:
    from nanoaccel.runtime.tools.profiling import OperatorProfile, Profile


def profile(
    bundle: Path,
    engine: EngineOptions,
    prompt_tokens: Annotated[
        int, typer.Option(help="Tokens of the prompt; they are random.")
    ] = 256,
    tokens: Annotated[int, typer.Option(help="Tokens to generate, 2 or more.")] = 64,
    speculation: Annotated[
        str, typer.Option(metavar="NAME", help="Who guesses tokens: off, auto, or a drafter.")
    ] = "off",
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a trace for chrome://tracing or Perfetto."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report with pictures, in one file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show where the time goes: phases, operators, memory, and what this machine could do.

    BUNDLE is a bundle's folder. Where it has graphs for several runtimes, the first is profiled,
    or the one that --backend names.
    """
    begun = time.perf_counter()
    from nanoaccel.runtime.configure import configure
    from nanoaccel.runtime.tools.profiling import ProfileOptions, chrome_trace, profile_bundle

    options = ProfileOptions(
        prompt_tokens=prompt_tokens, tokens=tokens, imports=time.perf_counter() - begun
    )
    given = {**engine.arguments(), "prefix_cache": False, "speculation": speculation}
    arguments = dict(configure(given).arguments)
    arguments.pop("replicas", None)  # one engine is profiled
    backend = arguments.pop("backend", "auto")
    with working("profile") as show:
        found = profile_bundle(
            bundle,
            backend=backend,
            options=options,
            arguments=arguments,
            listener=show,
            closing=closed_at_end,
        )
    if trace is not None:
        _write(trace, json.dumps(chrome_trace(found)))
    if html is not None:
        from nanoaccel.cli.ui.profile.page import html_report

        _write(html, html_report(found, _title(bundle), _cores()))
    if as_json:
        typer.echo(json.dumps(_facts(found)))
    else:
        _print(found)


def _cores() -> int:
    from nanoaccel.runtime.cpu.threads import core_count

    return core_count()


def _title(bundle: Path) -> str:
    return bundle.resolve().name


def _write(file: Path, text: str) -> None:
    with whole_file(file) as partial:
        partial.write_text(text, encoding="utf-8")


def _print(found: Profile) -> None:
    from rich.console import Console

    from nanoaccel.cli.ui.profile.tables import sections
    from nanoaccel.runtime.tools.profiling import judge
    from nanoaccel.runtime.tools.profiling.verdict import figures_of

    console = Console(highlight=False)
    for section in sections(found):
        console.print(section)
        console.print()
    verdict = judge(figures_of(found, _cores()))
    for title, lines in (("Verdict", verdict.findings), ("What to try", verdict.advice)):
        if lines:
            console.print(title, style="bold")
            typer.echo("".join(f"  {line}\n" for line in lines))


def _facts(found: Profile) -> dict[str, Any]:
    from dataclasses import asdict

    from nanoaccel.runtime.tools.profiling import judge
    from nanoaccel.runtime.tools.profiling.verdict import figures_of

    figures = figures_of(found, _cores())
    run = found.run
    return {
        "backend": found.backend.name,
        "device": found.backend.device,
        "threads": found.backend.threads,
        "cold_start": dict(found.cold_start.phases),
        "wall": run.wall,
        "unexplained": run.unexplained,
        "phases": {
            "all": run.phases(),
            "prompt": run.phases(decode=False),
            "decode": run.phases(decode=True),
        },
        "steps": {"prompt": len(run.of_kind(False)), "decode": len(run.of_kind(True))},
        "operators": {
            name: None if operators is None else _told(operators, found)
            for name, operators in (("prompt", found.prefill), ("decode", found.decode))
        },
        "wider": [_told(operators, found) for operators in found.wider],
        "memory": {**asdict(found.memory), "runtime": found.memory.runtime},
        "cpu_seconds": run.cpu,
        "machine": asdict(found.machine),
        "figures": {
            **asdict(figures),
            "decode_share": figures.decode_share,
            "prefill_share": figures.prefill_share,
        },
        "verdict": asdict(judge(figures)),
    }


def _told(operators: OperatorProfile, found: Profile) -> dict[str, Any]:
    """Operators of a kind of pass, each, and by role."""
    from dataclasses import asdict

    from nanoaccel.runtime.tools.profiling import roles_of

    return {
        "shape": None if operators.shape is None else asdict(operators.shape),
        "passes": operators.passes,
        "forward": operators.forward,
        "seconds": operators.seconds,
        "roles": [
            {**asdict(role), "share": role.share} for role in roles_of(operators, found.machine)
        ],
        "operators": [asdict(operator) for operator in operators.operators],
    }
