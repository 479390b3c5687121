"""Rotary positions as a GGUF file describes them, as transformers' `rope_parameters`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.source.gguf.keys import Keys

_REMEDY = "Export the original checkpoint instead"
_EXACT = 2e-6  # of factors that the file keeps in f32


def rope_parameters(keys: Keys, head_dim: int, factors: dict[str, np.ndarray]) -> dict[str, Any]:
    """What turns positions into angles.

    Args:
        keys: Keys of the file; what is used is taken from them.
        head_dim: Numbers of a head that turn.
        factors: The tensors `rope_freqs`, `rope_factors_long` and `rope_factors_short`, by name.

    Raises:
        UnsupportedModelError: They cannot be had exactly.
    """
    theta = keys.number("rope.freq_base", 10000.0)
    context = keys.integer("context_length")
    original = keys.integer("rope.scaling.original_context_length", context)
    attention = keys.number("rope.scaling.attn_factor", 1.0)
    factor = keys.number("rope.scaling.factor", keys.number("rope.scale_linear", 1.0))
    factor = 1.0 if factor == 0 else factor
    kind = keys.text("rope.scaling.type", "linear")
    long, short = factors.get("rope_factors_long"), factors.get("rope_factors_short")
    if "rope_freqs" in factors:
        if kind != "none" and (kind != "linear" or factor != 1.0):
            raise keys.refusal("rope.scaling.type", f"{kind} beside rope_freqs.weight")
        _check_plain(keys, attention)
        return _llama3(keys, theta, head_dim, context, factors["rope_freqs"])
    if long is not None or short is not None or kind == "longrope":
        if long is None or short is None or {len(long), len(short)} != {head_dim // 2}:
            raise keys.refusal("rope.scaling.type", "longrope without both tensors rope_factors_*")
        return {
            "rope_type": "longrope",
            "rope_theta": theta,
            "long_factor": long.tolist(),
            "short_factor": short.tolist(),
            "original_max_position_embeddings": original,
            "attention_factor": attention,
            "factor": context / original,
        }
    if kind == "yarn":
        return _yarn(keys, theta, factor, original, attention)
    _check_plain(keys, attention)
    if kind == "none" or (kind == "linear" and factor == 1.0):
        return {"rope_type": "default", "rope_theta": theta}
    if kind == "linear":
        return {"rope_type": "linear", "rope_theta": theta, "factor": factor}
    raise keys.refusal("rope.scaling.type", kind)


def _check_plain(keys: Keys, attention: float) -> None:
    if attention != 1.0:
        raise keys.refusal("rope.scaling.attn_factor", attention)


def _yarn(
    keys: Keys, theta: float, factor: float, original: int, attention: float
) -> dict[str, Any]:
    log_factor = 0.1 * math.log(factor) if factor > 1 else 0.0
    # Converters write the whole factor here, which llama.cpp overwrites: only what is the same
    # to both is taken.
    whole = keys.number("rope.scaling.yarn_attn_factor", 1 + log_factor)
    if not math.isclose(whole, 1 + log_factor, rel_tol=1e-6):
        raise keys.refusal("rope.scaling.yarn_attn_factor", whole)
    extrapolation = keys.number("rope.scaling.yarn_ext_factor", 1.0)
    if extrapolation != 1.0:
        raise keys.refusal("rope.scaling.yarn_ext_factor", extrapolation)
    divisor = 1 + keys.number("rope.scaling.yarn_log_multiplier", 0.0) * log_factor
    return {
        "rope_type": "yarn",
        "rope_theta": theta,
        "factor": factor,
        "original_max_position_embeddings": original,
        "beta_fast": keys.number("rope.scaling.yarn_beta_fast", 32.0),
        "beta_slow": keys.number("rope.scaling.yarn_beta_slow", 1.0),
        "attention_factor": attention * (1 + log_factor) / divisor,
    }


def _llama3(
    keys: Keys, theta: float, head_dim: int, context: int, factors: np.ndarray
) -> dict[str, Any]:
    """The parameters from which a converter made rope_freqs.weight.

    The inverse of a factor grows linearly with the frequency between two corners. Llama's own
    corners are tried first; others are read off the line.
    """
    scales = factors.astype(np.float64)
    if scales.shape != (head_dim // 2,) or not np.all(scales >= 1):
        raise UnsupportedModelError(f"{keys.path} has a rope_freqs.weight of odd values", _REMEDY)
    factor = float(scales.max())
    if factor == 1.0:
        return {"rope_type": "default", "rope_theta": theta}
    turns = theta ** -(np.arange(0, head_dim, 2) / head_dim) / (2 * math.pi)
    usual = [(1.0, 4.0, 2**power) for power in range(5, 21)]
    for low, high, original in [*usual, _fitted(turns, scales, factor, context)]:
        smooth = np.clip((original * turns - low) / (high - low), 0, 1)
        if np.allclose(1 / ((1 - smooth) / factor + smooth), scales, rtol=_EXACT, atol=0):
            return {
                "rope_type": "llama3",
                "rope_theta": theta,
                "factor": factor,
                "low_freq_factor": low,
                "high_freq_factor": high,
                "original_max_position_embeddings": original,
            }
    raise UnsupportedModelError(
        f"{keys.path} has a rope_freqs.weight that Llama 3's scaling does not make", _REMEDY
    )


def _fitted(
    turns: np.ndarray, scales: np.ndarray, factor: float, context: int
) -> tuple[float, float, int]:
    smooth = (1 / scales - 1 / factor) / (1 - 1 / factor)
    inside = np.flatnonzero((smooth > 1e-7) & (smooth < 1 - 1e-7))
    first, last = (inside[0], inside[-1]) if len(inside) > 1 else (0, len(turns) - 1)
    slope = (smooth[first] - smooth[last]) / (turns[first] - turns[last]) if first != last else 0.0
    if slope <= 0:
        return 1.0, 4.0, context
    low = float(turns[last] - smooth[last] / slope)
    return low * context, (low + 1 / float(slope)) * context, context
