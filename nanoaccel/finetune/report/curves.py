"""Draws the loss over the steps: of what was learned, and of the validation set."""

from __future__ import annotations

from collections.abc import Sequence

_WIDTH, _HEIGHT = 760, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 30, 50
_TICKS = 5
_SMOOTH = 0.9  # of what came before, in the mean that is drawn
_LEARNED, _PALE, _JUDGED = "#1d4ed8", "#bfdbfe", "#c2410c"


def draw_curves(losses: Sequence[float], judged: Sequence[tuple[int, float]]) -> str:
    """An SVG picture.

    Args:
        losses: Of each step, the first one's first; one or more.
        judged: Steps that were done, and the loss of the validation set.
    """
    smooth = smoothed(losses)
    values = [*losses, *(loss for _, loss in judged)]
    low, high = min(values), max(values)
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(step: float, loss: float) -> str:
        x = _LEFT + width * step / len(losses)
        return f"{x:.1f},{_TOP + height * (high - loss) / (high - low):.1f}"

    parts = [
        f'<rect x="{_LEFT}" y="{_TOP}" width="{width}" height="{height}" fill="none" '
        'stroke="#9ca3af"/>'
    ]
    for tick in range(_TICKS):
        share = tick / (_TICKS - 1)
        y = _TOP + height * (1 - share) + 4
        x = _LEFT + width * share
        parts.append(_text(_LEFT - 8, y, f"{low + share * (high - low):.2f}", "end"))
        parts.append(_text(x, _HEIGHT - 30, f"{share * len(losses):.0f}", "middle"))
    parts.append(_line([place(i + 1, loss) for i, loss in enumerate(losses)], _PALE, 1))
    parts.append(_line([place(i + 1, loss) for i, loss in enumerate(smooth)], _LEARNED, 2))
    if judged:
        points = [place(step, loss) for step, loss in judged]
        parts.append(_line(points, _JUDGED, 2))
        parts += [_dot(point, judged[i]) for i, point in enumerate(points)]
    parts.append(_text(_LEFT + width / 2, _HEIGHT - 8, "steps", "middle"))
    parts.append(_text(_LEFT, 18, "loss, nats a token", "start"))
    parts.append(_text(_LEFT + width - 150, 18, "learned", "end", _LEARNED))
    if judged:
        parts.append(_text(_LEFT + width, 18, "validation set", "end", _JUDGED))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="13">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def smoothed(values: Sequence[float]) -> list[float]:
    """The running mean with weights that fall, each over the steps that there are."""
    total = weight = 0.0
    found = []
    for value in values:
        total = _SMOOTH * total + value
        weight = _SMOOTH * weight + 1
        found.append(total / weight)
    return found


def _line(points: Sequence[str], color: str, width: int) -> str:
    joined = " ".join(points)
    return f'<polyline points="{joined}" fill="none" stroke="{color}" stroke-width="{width}"/>'


def _dot(point: str, value: tuple[int, float]) -> str:
    x, y = point.split(",")
    return (
        f'<circle cx="{x}" cy="{y}" r="4" fill="{_JUDGED}">'
        f"<title>step {value[0]}: {value[1]:.4f}</title></circle>"
    )


def _text(x: float, y: float, text: str, anchor: str, color: str = "black") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{text}</text>'
