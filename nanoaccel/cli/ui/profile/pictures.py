"""Pictures of a profile: SVG that stands inside a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

_WIDTH = 760
_LABEL, _VALUE = 230, 120
_ROW = 24
_COLORS = ("#1d4ed8", "#0f766e", "#c2410c", "#7c3aed", "#b45309", "#be185d", "#4d7c0f", "#475569")


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """Horizontal bars.

    Args:
        rows: Name, length (0 or more) and what is written behind it.
    """
    longest = max((value for _, value, _ in rows), default=0.0)
    room = _WIDTH - _LABEL - _VALUE
    parts = []
    for place, (name, value, text) in enumerate(rows):
        y = place * _ROW
        width = room * value / longest if longest > 0 else 0.0
        parts.append(_text(_LABEL - 8, y + 16, _short(name), "end", name))
        parts.append(
            f'<rect x="{_LABEL}" y="{y + 4}" width="{max(width, 0.5):.1f}" height="16" rx="2" '
            f'fill="{_COLORS[place % len(_COLORS)]}"/>'
        )
        parts.append(_text(_LABEL + width + 6, y + 16, text, "start"))
    return _svg(len(rows) * _ROW + 4, parts)


def columns(rows: Sequence[tuple[str, float]], unit: str) -> str:
    """Vertical bars, many of them; each tells its value when it is pointed at.

    Args:
        rows: Name and height.
        unit: Unit of the heights.
    """
    height, bottom = 160, 20
    highest = max((value for _, value in rows), default=0.0)
    step = (_WIDTH - 20) / max(1, len(rows))
    parts = []
    every = math.ceil(len(rows) / 16)
    for place, (name, value) in enumerate(rows):
        tall = height * value / highest if highest > 0 else 0.0
        x = 10 + place * step
        parts.append(
            f'<rect x="{x:.1f}" y="{20 + height - tall:.1f}" width="{step * 0.8:.1f}" '
            f'height="{max(tall, 0.5):.1f}" fill="{_COLORS[0]}">'
            f"<title>{escape(name)}: {value:.3f} {unit}</title></rect>"
        )
        if place % every == 0:
            parts.append(_text(x + step * 0.4, 20 + height + 15, name, "middle"))
    parts.append(_text(10, 12, f"{unit}; the highest is {highest:.3f}", "start"))
    return _svg(20 + height + bottom, parts)


def roofline(bandwidth: float, compute: float, points: Sequence[tuple[str, float, float]]) -> str:
    """What the machine allows, and where passes are; both axes are logarithmic.

    Args:
        bandwidth: Bytes a second.
        compute: Operations a second.
        points: Name, operations a byte, operations a second; all above 0.
    """
    height, left, right, top, bottom = 340, 70, 30, 20, 50
    ridge = compute / bandwidth
    xs = [ridge / 30, ridge * 30, *(x for _, x, _ in points)]
    ys = [compute * 2, compute / 200, *(y for _, _, y in points)]
    low_x, high_x = math.log10(min(xs)) - 0.1, math.log10(max(xs)) + 0.1
    low_y, high_y = math.log10(min(ys)) - 0.1, math.log10(max(ys)) + 0.1

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (_WIDTH - left - right) * (math.log10(x) - low_x) / (high_x - low_x),
            top + (height - top - bottom) * (high_y - math.log10(y)) / (high_y - low_y),
        )

    begin = max(10**low_x, 10**low_y / bandwidth)
    corners = [(begin, begin * bandwidth), (ridge, compute), (10**high_x, compute)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*corner) for corner in corners))
    parts = [
        f'<rect x="{left}" y="{top}" width="{_WIDTH - left - right}" '
        f'height="{height - top - bottom}" fill="none" stroke="#94a3b8"/>',
        f'<polyline points="{line}" fill="none" stroke="#475569" stroke-width="2"/>',
    ]
    for power in range(math.ceil(low_x), math.floor(high_x) + 1):
        x, _ = place(10.0**power, compute)
        parts.append(_text(x, height - bottom + 18, f"{10.0**power:g}", "middle"))
    for power in range(math.ceil(low_y), math.floor(high_y) + 1):
        _, y = place(ridge, 10.0**power)
        parts.append(_text(left - 8, y + 4, f"{10.0**power / 1e9:g}", "end"))
    for number, (name, intensity, rate) in enumerate(points):
        x, y = place(intensity, rate)
        color = _COLORS[number % len(_COLORS)]
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{color}"/>')
        parts.append(_text(x + 10, y + 16, name, "start"))
    parts.append(_text(_WIDTH / 2, height - 8, "operations for each byte read", "middle"))
    parts.append(_text(left + 6, top + 14, "GFLOP/s", "start"))
    return _svg(height, parts)


def _short(text: str) -> str:
    return text if len(text) <= 32 else f"…{text[-31:]}"


def _text(x: float, y: float, text: str, anchor: str, title: str | None = None) -> str:
    hint = "" if title is None else f"<title>{escape(title)}</title>"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{hint}{escape(text)}</text>'


def _svg(height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" '
        f'font-family="sans-serif" font-size="12">\n{chr(10).join(parts)}\n</svg>'
    )
