"""``nanoaccel doctor``: what is installed, what the machine is, what is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanoaccel.cli.ui.sizes import bytes_text
from nanoaccel.cli.ui.table import table
from nanoaccel.config_file import VARIABLE as CONFIG
from nanoaccel.errors import ConfigError
from nanoaccel.settings import SETTINGS

if TYPE_CHECKING:
    from nanoaccel.cli.installation.environment import Environment, Space
    from nanoaccel.cli.installation.requirements import Problem


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.zip",
            help="Write a report for a bug report: no prompts, keys, or names of users and hosts.",
        ),
    ] = None,
) -> None:
    """Check the installation and the machine; fails when nothing can be generated."""
    from nanoaccel.cli.installation.environment import look_around
    from nanoaccel.cli.installation.requirements import Problem, cache_problem, find_problems

    variables = dict(os.environ)
    with _without_wrong_settings() as broken:
        environment = look_around()
        problems = find_problems(environment.packages)
        unkept = cache_problem(environment.cache_folder)
        problems += [] if unkept is None else [unkept]
        if report is not None:
            from nanoaccel.cli.installation.report import write_report

            write_report(report, as_text(environment, problems), broken, variables)
    if broken is not None:
        problems.insert(0, Problem(broken.problem, str(broken.remedy), "generate"))
    typer.echo(as_json_text(environment, problems) if as_json else as_text(environment, problems))
    if report is not None:
        typer.echo(f"wrote {report}: read it before you send it", err=True)
    if any(problem.blocks == "generate" for problem in problems):
        raise typer.Exit(1)


@contextmanager
def _without_wrong_settings() -> Iterator[ConfigError | None]:
    """What is wrong with the settings; inside they are then left aside, but for the cache."""
    from nanoaccel.cli.effective import effective_settings

    try:
        effective_settings(None, {})
    except ConfigError as error:
        before = dict(os.environ)
        for setting in SETTINGS:
            if setting.name != "cache":
                os.environ.pop(setting.variable, None)
        os.environ[CONFIG] = ""
        try:
            yield error
        finally:
            os.environ.clear()
            os.environ.update(before)
    else:
        yield None


def as_json_text(environment: Environment, problems: list[Problem]) -> str:
    """All facts and problems as one JSON object."""
    blocked = {problem.blocks for problem in problems}
    content = {
        **asdict(environment),
        "problems": [asdict(problem) for problem in problems],
        "can_generate": "generate" not in blocked,
        "can_export": not blocked & {"generate", "export"},
    }
    return json.dumps(content, default=str)


def as_text(environment: Environment, problems: list[Problem]) -> str:
    """All facts and problems for people."""
    versions = [
        ("python", environment.python),
        *((name, "-" if v is None else v) for name, v in environment.packages.items()),
    ]
    cpu = environment.cpu
    machine = [
        ("cpu", cpu.model),
        ("CPUs", f"{cpu.usable} of {cpu.cpus} usable by this process"),
        ("quota", "none" if cpu.quota is None else f"{cpu.quota:g} CPUs"),
        ("threads", f"{cpu.threads} to decode with; nanoaccel cpu says why"),
        ("instructions", " ".join(cpu.isa) if cpu.isa else "none of interest"),
        ("operators", f"{environment.operators} (for ONNX Runtime)"),
        ("memory", _space(environment.memory)),
        ("cache", f"{environment.cache_folder}, disk {_space(environment.cache_disk)}"),
    ]
    parts = [
        f"Versions\n{table(versions, indent=2)}",
        f"Machine\n{table(machine, indent=2)}",
        "Problems\n" + ("\n".join(map(_describe, problems)) if problems else "  none"),
    ]
    return "\n\n".join(parts)


def _space(space: Space) -> str:
    total = "" if space.total is None else f" of {bytes_text(space.total)}"
    return f"{bytes_text(space.free)} free{total}"


def _describe(problem: Problem) -> str:
    return f"  {problem.what}\n    remedy: {problem.remedy}"
