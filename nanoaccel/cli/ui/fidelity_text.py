"""What compression cost, in words and rounded numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LABELS = {
    "kl": "KL to the original",
    "kl_median": "KL, median",
    "kl_99": "KL, 99th percentile",
    "top1_agreement": "same likeliest token",
    "perplexity": "perplexity",
    "reference_perplexity": "perplexity of the original",
    "log_ratio": "ln of their ratio",
    "probability_change": "change of the right token's probability",
    "probability_change_rms": "..., root mean square",
    "tokens": "tokens compared",
    "text": "text",
}
_ERRORS = {
    "kl": "kl_error",
    "top1_agreement": "top1_error",
    "perplexity": "perplexity_error",
    "log_ratio": "log_ratio_error",
    "probability_change": "probability_change_error",
}
_SHARES = ("top1_agreement", "probability_change", "probability_change_rms")


def validation_lines(found: Mapping[str, Any]) -> list[str]:
    """A line for each value that was measured, its error beside it."""
    errors = {_ERRORS[name] for name in found if name in _ERRORS}
    return [
        f"{_LABELS.get(name, name)} {_value(name, value, found.get(_ERRORS.get(name, '')))}"
        for name, value in found.items()
        if name not in errors
    ]


def nats(value: float) -> str:
    """A divergence, to two digits that say something: ``0.051``, ``0.0002``."""
    if value >= 0.01:
        return f"{value:.3f}"
    return f"{value:.4f}" if value >= 0.0001 else f"{value:.1e}" if value > 0 else "0"


def percent(share: float, error: float | None = None, digits: int = 1) -> str:
    """A share: ``97.1%``."""
    own = f"{share:.{digits}%}"
    return own if error is None else f"{own} ± {error:.{digits}%}"


def _value(name: str, value: Any, error: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if name in _SHARES:
        return percent(value, error if isinstance(error, float) else None)
    if isinstance(value, int):
        return f"{value:,}"
    spread = f" ± {_rounded(name, error)}" if isinstance(error, float) else ""
    unit = " nats a token" if name.startswith("kl") else ""
    return f"{_rounded(name, value)}{spread}{unit}"


def _rounded(name: str, value: float) -> str:
    if name.startswith("kl"):
        return nats(value)
    return f"{value:.4f}" if name.startswith("log") else f"{value:.4g}"
