"""The page of ``nanoaccel profile --html``: one file, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from nanoaccel.cli.ui.profile.pictures import bars, columns, roofline
from nanoaccel.cli.ui.profile.tables import machine_rows, memory_rows, short_name
from nanoaccel.runtime.tools.profiling import (
    PHASES,
    OperatorProfile,
    Profile,
    Role,
    judge,
    roles_of,
)
from nanoaccel.runtime.tools.profiling.verdict import figures_of

_KINDS, _SLOWEST = 12, 12
_STYLE = """
body { font-family: system-ui, sans-serif; max-width: 800px; margin: 2em auto; padding: 0 1em;
  color: #0f172a; background: #fff; line-height: 1.45; }
h2 { margin-top: 2em; border-bottom: 1px solid #cbd5e1; }
table { border-collapse: collapse; } td { padding: .15em 1.5em .15em 0; }
svg { width: 100%; height: auto; } li { margin: .3em 0; } .note { color: #475569; }
"""


def html_report(profile: Profile, title: str, cores: int) -> str:
    """The page.

    Args:
        profile: What it shows.
        title: Name of the bundle.
        cores: Cores that a plan would use here.
    """
    verdict = judge(figures_of(profile, cores))
    info = profile.backend
    parts = [
        f"<h1>Profile of {escape(title)}</h1>",
        f'<p class="note">{escape(info.name)} on {escape(info.device)}, {info.threads} threads</p>',
        "<h2>Verdict</h2>",
        _list(verdict.findings),
    ]
    if verdict.advice:
        parts += ["<h3>What to try</h3>", _list(verdict.advice)]
    parts += ["<h2>Roofline</h2>", _roofline(profile, cores)]
    parts += _phases(profile)
    for operators in profile.passes:
        parts += _operators(operators, profile)
    parts += ["<h2>Cold start</h2>", bars(_timed(profile.cold_start.phases))]
    parts += ["<h2>Memory</h2>", _rows(memory_rows(profile))]
    parts += ["<h2>Machine, in the same minute</h2>", _rows(machine_rows(profile))]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>Profile of {escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _phases(profile: Profile) -> list[str]:
    run = profile.run
    explained = 100 * (1 - run.unexplained / run.wall)
    parts = [
        "<h2>Phases of the engine's steps</h2>",
        f'<p class="note">{explained:.1f} % of the {run.wall:.2f} s that the request took.</p>',
    ]
    for name, decode in (("Prompt", False), ("Decode", True)):
        steps, seconds = run.of_kind(decode), run.phases(decode=decode)
        if steps:
            rows = [(phase, seconds[phase] / len(steps)) for phase in PHASES]
            parts += [f"<h3>{name}: a step, mean of {len(steps)}</h3>", bars(_timed(rows))]
    return parts


def _operators(operators: OperatorProfile, profile: Profile) -> list[str]:
    each = 1 / operators.passes
    kinds = [
        (_reached(role), role.seconds) for role in roles_of(operators, profile.machine)[:_KINDS]
    ]
    between = (operators.forward - operators.seconds) * each
    whole = operators.forward * each
    slowest = sorted(operators.operators, key=lambda item: -item.seconds)[:_SLOWEST]
    layers = [
        ("rest" if layer is None else str(layer), 1e3 * seconds * each)
        for layer, seconds in operators.by_layer()
    ]
    return [
        f"<h2>Operators: {'' if operators.shape is None else operators.shape.name}</h2>",
        f"<h3>By kind and role, mean of {operators.passes} passes</h3>",
        bars(_timed([*kinds, ("between operators", max(0.0, between))])),
        "<h3>By layer</h3>",
        columns(layers, "ms"),
        "<h3>The slowest</h3>",
        bars(_timed([(short_name(item.name), item.seconds * each) for item in slowest], whole)),
    ]


def _reached(role: Role) -> str:
    """A role with its share of what bounds it."""
    return role.title if role.share is None else f"{role.title}, {role.share:.0%} of its limit"


def _roofline(profile: Profile, cores: int) -> str:
    figures = figures_of(profile, cores)
    if profile.parameters is None:
        return '<p class="note">The folder does not say how many weights the model has.</p>'
    decode = 2.0 * profile.parameters
    points = [("decode", decode / figures.decode_bytes, decode / figures.decode_seconds)]
    if figures.prefill_bytes is not None and figures.prefill_operations is not None:
        done = figures.prefill_operations
        points.append(("prefill", done / figures.prefill_bytes, done / figures.prefill_seconds))
    machine = profile.machine
    note = (
        '<p class="note">The line is what memory (left) and the f32 matrix product of numpy '
        "(right) allow; a runtime that multiplies narrower numbers may be above it.</p>"
    )
    return roofline(machine.bandwidth, machine.compute, points) + note


def _timed(
    rows: Sequence[tuple[str, float]], whole: float | None = None
) -> list[tuple[str, float, str]]:
    """Names and seconds as rows of bars, in milliseconds with shares of the whole, or of all."""
    whole = sum(seconds for _, seconds in rows) if whole is None else whole
    share = 100 / whole if whole > 0 else 0.0
    return [(name, s, f"{1e3 * s:.3f} ms, {s * share:.1f} %") for name, s in rows]


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _rows(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows
    )
    return f"<table>{cells}</table>"
