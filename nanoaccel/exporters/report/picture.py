"""Draws what recipes cost: size against divergence, one dot each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 30, 60
_TICKS = 5


def draw(points: Sequence[tuple[str, float, float]], best: str) -> str:
    """An SVG picture.

    Args:
        points: Name, megabytes, and KL in nats a token, above 0; one or more.
        best: Name of the point that is marked.
    """
    low, high = _span([size for _, size, _ in points])
    floor, top = _span([math.log10(kl) for _, _, kl in points])
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def point(size: float, log: float) -> tuple[float, float]:
        return (
            _LEFT + width * (size - low) / (high - low),
            _TOP + height * (top - log) / (top - floor),
        )

    parts = [_frame(width, height)]
    for step in range(_TICKS):
        share = step / (_TICKS - 1)
        x, _ = point(low + share * (high - low), floor)
        _, y = point(low, floor + share * (top - floor))
        parts.append(_text(x, _HEIGHT - 38, f"{low + share * (high - low):.0f}", "middle"))
        parts.append(_text(_LEFT - 8, y + 4, f"{10 ** (floor + share * (top - floor)):.3f}", "end"))
    for number, (name, size, kl) in enumerate(points, 1):
        x, y = point(size, math.log10(kl))
        color = "#c2410c" if name == best else "#1d4ed8"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{color}">'
            f"<title>{escape(name)}: {size:.1f} MB, KL {kl:.4f}</title></circle>"
        )
        parts.append(_text(x + 9, y - 7, str(number), "start"))
    parts.append(_text(_LEFT + width / 2, _HEIGHT - 14, "weights file, MB", "middle"))
    parts.append(_text(_LEFT, 18, "KL to the original, nats a token (log)", "start"))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="13">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    """A little more than the values need."""
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def _frame(width: float, height: float) -> str:
    return (
        f'<rect x="{_LEFT}" y="{_TOP}" width="{width}" height="{height}" fill="none" '
        'stroke="#9ca3af"/>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
