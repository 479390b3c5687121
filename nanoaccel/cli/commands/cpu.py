"""``nanoaccel cpu``: the machine, what is allowed of it, and how it will be used."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanoaccel.cli.ui.sizes import binary_bytes_text, bytes_text
from nanoaccel.cli.ui.table import named_rows, table

if TYPE_CHECKING:
    from nanoaccel.runtime.cpu.topology import Machine
    from nanoaccel.runtime.cpu.workload import Role, ThreadPlan

_ROLES: tuple[Role, ...] = ("decode", "prefill", "draft")


def cpu(
    threads: Annotated[
        int | None, typer.Option(help="Show the plans with so many threads.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the processor, what this process may use of it, and the plan of threads."""
    if as_json:
        typer.echo(json.dumps(machine_facts(threads)))
        return
    machine, plans, engines = _plans(threads)
    _print_all(machine, plans)
    if len(engines) > 1:
        typer.echo(f"\nEngines (--replicas auto)\n{table(_engines(engines), indent=2)}")


def machine_facts(threads: int | None) -> dict[str, Any]:
    """The machine, what is allowed of it, and all plans, as JSON.

    Args:
        threads: As of the command.

    Raises:
        ConfigError: There are fewer CPUs than threads, or a setting is wrong.
    """
    machine, plans, engines = _plans(threads)
    return {**_facts(machine, plans), "engines": list(map(asdict, engines))}


def _plans(threads: int | None) -> tuple[Machine, dict[Role, ThreadPlan], list[ThreadPlan]]:
    from nanoaccel.runtime.configure import configure
    from nanoaccel.runtime.cpu.engines import engine_plans, engines_for
    from nanoaccel.runtime.cpu.machine import read_machine
    from nanoaccel.runtime.cpu.threads import plan_threads
    from nanoaccel.runtime.cpu.workload import Workload

    asked = configure({"threads": threads})
    wanted, machine = asked.engine.threads, read_machine()
    with asked.resolved.naming_places():
        plans = {
            role: plan_threads(
                machine.topology,
                machine.allowance,
                Workload(role=role, threads=wanted),
                os.environ,
            )
            for role in _ROLES
        }
        count = engines_for(machine, wanted, os.environ)
        return machine, plans, engine_plans(machine, count, wanted, os.environ)


def _facts(machine: Machine, plans: dict[Role, ThreadPlan]) -> dict[str, Any]:
    from nanoaccel.runtime.cpu.huge_pages import large_page_size
    from nanoaccel.runtime.cpu.runtimes import onnxruntime_options, openvino_properties

    return {
        "topology": {**asdict(machine.topology), "cpus": machine.topology.cpus},
        "allowance": {**asdict(machine.allowance), "whole_cpus": machine.allowance.whole_cpus},
        "large_page_bytes": large_page_size(),
        "notes": machine.notes,
        "plans": {
            role: {
                **asdict(plan),
                "openvino": openvino_properties(plan),
                "onnxruntime": asdict(onnxruntime_options(plan)),
            }
            for role, plan in plans.items()
        },
    }


def _print_all(machine: Machine, plans: dict[Role, ThreadPlan]) -> None:
    from rich.console import Console

    from nanoaccel.cli.ui.machine_picture import picture

    decode = plans["decode"]
    typer.echo(f"Machine\n{table(_machine(machine), indent=2)}\n")
    console = Console(highlight=False)
    unicode = console.encoding.lower().startswith("utf")
    console.print(picture(machine, decode, unicode=unicode))
    typer.echo(f"\nAllowed\n{table(_allowed(machine), indent=2)}")
    for role, plan in plans.items():
        rows = _reasons(plan) if role == "decode" else _differences(plan, decode)
        typer.echo(f"\nPlan for {role}\n{table(rows, indent=2)}")
    remarks = [*machine.notes, *decode.warnings]
    if remarks:
        typer.echo("\nNotes\n" + table([(line,) for line in remarks], indent=2))


def _machine(machine: Machine) -> list[tuple[str, str]]:
    topology = machine.topology
    kinds = [(kind, [c for c in topology.cores if c.kind == kind]) for kind in topology.kinds]
    counts = [
        f"{len(cores)} {kind}" if len(kinds) > 1 else str(len(cores)) for kind, cores in kinds
    ]
    fastest = [core.max_mhz for core in topology.cores if core.max_mhz is not None]
    return [
        ("cpu", topology.name),
        ("cores", f"{', '.join(counts)}; {len(topology.cpus)} CPUs"),
        ("sockets", f"{len(topology.packages)}, NUMA nodes {len(topology.nodes)}"),
        *([("frequency", f"up to {max(fastest) / 1000:.1f} GHz")] if fastest else []),
        *named_rows("caches", _caches(machine)),
        (
            "instructions",
            " ".join(topology.instructions) if topology.instructions else "none of interest",
        ),
    ]


def _caches(machine: Machine) -> list[str]:
    """Caches that are alike, a line."""
    alike = Counter(
        (cache.level, cache.kind, cache.size, len(cache.cpus)) for cache in machine.topology.caches
    )
    return [
        f"{count} x {'?' if size == 0 else binary_bytes_text(size)}, level {level} {kind}, "
        f"{cpus} {'CPU' if cpus == 1 else 'CPUs'} each"
        for (level, kind, size, cpus), count in sorted(alike.items())
    ]


def _allowed(machine: Machine) -> list[tuple[str, str]]:
    from nanoaccel.runtime.cpu.files import format_cpus
    from nanoaccel.runtime.cpu.huge_pages import large_page_size

    allowance, large = machine.allowance, large_page_size()
    total = len(machine.topology.cpus)
    quota, memory = allowance.quota, allowance.memory
    rows = [
        ("CPUs", f"{format_cpus(allowance.cpus)} ({len(allowance.cpus)} of {total})"),
        ("quota", "none" if quota is None else f"{quota:g} CPUs"),
        ("memory limit", "none" if memory is None else bytes_text(memory)),
        ("large pages", binary_bytes_text(large) if large > 0 else "none"),
    ]
    if allowance.cpuset is not None:
        rows.insert(1, ("cpuset", format_cpus(allowance.cpuset)))
    return rows


def _engines(plans: list[ThreadPlan]) -> list[tuple[str, str]]:
    """What each engine runs on, a line."""
    from nanoaccel.runtime.cpu.files import format_cpus

    return [
        (
            f"{number} of {len(plans)}",
            f"node {plan.node}, {plan.threads} threads on CPUs {format_cpus(plan.cpus)}",
        )
        for number, plan in enumerate(plans, 1)
    ]


def _reasons(plan: ThreadPlan) -> list[tuple[str, str, str]]:
    return [(reason.choice, reason.value, reason.why) for reason in plan.reasons]


def _differences(plan: ThreadPlan, other: ThreadPlan) -> list[tuple[str, str, str]]:
    """What it decides differently; why, where only that differs, is left out."""
    known = {(reason.choice, reason.value) for reason in other.reasons}
    rows = [row for row in _reasons(plan) if (row[0], row[1]) not in known]
    rest = "the rest" if rows else "all"
    return [*rows, (rest, "as for decode", "")]
