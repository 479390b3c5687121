"""The tables of ``nanoaccel profile`` in the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.table import Table

from nanoaccel.cli.ui.sizes import bytes_text
from nanoaccel.runtime.tools.profiling import PHASES, OperatorProfile, Profile, roles_of

_KINDS = 8
_PREFIXES = re.compile(r"__module\.|\bmodel[./]|aten::\w+/")
_SLOWEST = 5
_STEPS = (("prompt steps", False), ("decode steps", True))


def sections(profile: Profile) -> Iterator[Table]:
    """The tables, in order."""
    yield _phases(profile)
    for operators in profile.passes:
        yield _roles(operators, profile)
    if profile.decode is not None:
        yield _layers(profile.decode)
    yield _rows("Cold start", _starts(profile))
    yield _rows("Memory", memory_rows(profile))
    yield _rows("Machine, just now", machine_rows(profile))


def memory_rows(profile: Profile) -> list[tuple[str, str]]:
    """Kinds of memory and what they take."""
    memory = profile.memory
    return [
        ("weights", bytes_text(memory.weights)),
        ("cache, as far as it is used", bytes_text(memory.cache)),
        ("runtime: arenas, packed weights, code", _bytes(memory.runtime)),
        ("Python and libraries", _bytes(memory.python)),
        ("all of the process", _bytes(memory.total)),
    ]


def machine_rows(profile: Profile) -> list[tuple[str, str]]:
    """What the machine does, and how much of it was used."""
    run, machine = profile.run, profile.machine
    return [
        ("memory, read", f"{machine.bandwidth / 1e9:.1f} GB/s by {machine.threads} threads"),
        ("f32 matrix product in numpy", f"{machine.compute / 1e9:.0f} GFLOP/s"),
        *int8_row(profile),
        ("CPUs busy during the run", f"{run.cpu / run.wall:.2f} of {profile.backend.threads}"),
    ]


def int8_row(profile: Profile) -> list[tuple[str, str]]:
    """What the multipliers do, where there are operators that use them."""
    rate = profile.machine.int8
    if rate is None:
        return []
    return [("int8 multipliers", f"{rate / 1e9:.0f} G products/s")]


def short_name(name: str) -> str:
    """An operator's name without what all of them have: ``layers.12.mlp.gate_proj+up_proj``."""
    first, *fused = (
        _PREFIXES.sub("", part).strip("/").removesuffix("/MatMul") for part in name.split("+")
    )
    return "+".join([first, *(part.rpartition(".")[2] for part in fused)])


def _starts(profile: Profile) -> list[tuple[str, str]]:
    start = profile.cold_start
    rows = [(name, f"{1e3 * seconds:.0f} ms") for name, seconds in start.phases]
    return [*rows, ("all", f"{1e3 * start.seconds:.0f} ms")]


def _bytes(count: int | None) -> str:
    return "not known here" if count is None else bytes_text(count)


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, name in enumerate(columns):
        table.add_column(
            name,
            justify="left" if place == 0 else "right",
            no_wrap=place > 0,
            min_width=10 if place == 0 else None,
        )
    return table


def _rows(title: str, rows: Sequence[tuple[str, str]]) -> Table:
    table = _table(title, ("", ""))
    table.show_header = False
    for row in rows:
        table.add_row(*row)
    return table


def _phases(profile: Profile) -> Table:
    """Phases by kind of step, in milliseconds a step and as shares."""
    run = profile.run
    kinds = [(name, run.of_kind(decode), run.phases(decode=decode)) for name, decode in _STEPS]
    kinds = [kind for kind in kinds if kind[1]]
    columns = ["phase"]
    for name, steps, _ in kinds:
        columns += [f"{len(steps)} {name}, ms each", "share"]
    table = _table("Phases of the engine's steps", columns)
    for phase in PHASES:
        cells: list[str] = [phase]
        for _, steps, seconds in kinds:
            whole = sum(seconds.values())
            cells += [f"{1e3 * seconds[phase] / len(steps):.3f}", _percent(seconds[phase] / whole)]
        table.add_row(*cells)
    cells = ["all"]
    for _, steps, seconds in kinds:
        cells += [f"{1e3 * sum(seconds.values()) / len(steps):.3f}", ""]
    table.add_row(*cells)
    explained = _percent(1 - run.unexplained / run.wall, 1)
    table.caption = f"{explained} of the {run.wall:.2f} s that the request took"
    table.caption_justify = "left"
    return table


def _roles(operators: OperatorProfile, profile: Profile) -> Table:
    """Operators by their role, how near each is to its limit, and what lies between them."""
    over = "" if operators.shape is None else operators.shape.name
    columns = ("operator", "ms a pass", "share", "of its limit", "which is")
    table = _table(f"Operators, pass over {over}", columns)
    whole = operators.forward / operators.passes
    roles = roles_of(operators, profile.machine)
    shown = [role for role in roles if role.own] + [role for role in roles if not role.own][:_KINDS]
    rest = sum(role.seconds for role in roles) - sum(role.seconds for role in shown)
    between = whole - operators.seconds / operators.passes
    for role in sorted(shown, key=lambda role: -role.seconds):
        limit = "" if role.share is None else _percent(role.share)
        table.add_row(role.title, *_of(role.seconds, whole), limit, role.bound)
    for name, seconds in (("other kinds", rest), ("between operators", between)):
        if name == "between operators" or seconds > 1e-9:
            table.add_row(name, *_of(seconds, whole), "", "")
    return table


def _of(seconds: float, whole: float) -> tuple[str, str]:
    return f"{1e3 * seconds:.3f}", _percent(seconds / whole)


def _layers(operators: OperatorProfile) -> Table:
    """Layers in short, and the slowest operators by name."""
    table = _table("Slowest in a single token's pass", ("", "ms a pass", "share"))
    layers = operators.by_layer()
    inner = [seconds for layer, seconds in layers if layer is not None]
    outer = sum(seconds for layer, seconds in layers if layer is None)

    def add(name: str, seconds: float) -> None:
        each = f"{1e3 * seconds / operators.passes:.3f}"
        table.add_row(name, each, _percent(seconds / operators.forward))

    if inner:
        add(f"a layer, mean of {len(inner)}", sum(inner) / len(inner))
        add("a layer, the slowest", max(inner))
    add("around the layers", outer)
    for operator in sorted(operators.operators, key=lambda item: -item.seconds)[:_SLOWEST]:
        add(short_name(operator.name), operator.seconds)
    return table


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"
