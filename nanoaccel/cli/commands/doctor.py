"""``nanoaccel doctor``: what is installed, what the machine is, what is wrong."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from nanoaccel.cli.ui.sizes import bytes_text
from nanoaccel.cli.ui.table import table

if TYPE_CHECKING:
    from nanoaccel.cli.installation.environment import Environment, Space
    from nanoaccel.cli.installation.requirements import Problem


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check the installation and the machine; fails when nothing can be generated."""
    from nanoaccel.cli.installation.environment import look_around
    from nanoaccel.cli.installation.requirements import find_problems

    environment = look_around()
    problems = find_problems(environment.packages)
    typer.echo(as_json_text(environment, problems) if as_json else as_text(environment, problems))
    if any(problem.blocks == "generate" for problem in problems):
        raise typer.Exit(1)


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
