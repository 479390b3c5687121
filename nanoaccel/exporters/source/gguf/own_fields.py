"""Fields of a config that only one architecture has, from the keys of its GGUF files."""

from __future__ import annotations

import math
from typing import Any

from nanoaccel.exporters.source.gguf.keys import Keys


def no_fields(_keys: Keys, _options: dict[str, Any]) -> dict[str, Any]:
    """No fields: for architectures that have none of their own."""
    return {}


def granite_fields(keys: Keys, options: dict[str, Any]) -> dict[str, Any]:
    """Granite's multipliers."""
    scale = keys.number("attention.scale", 0.0)
    if keys.has("rope.scaling.finetuned") and keys.flag("rope.scaling.finetuned") is False:
        raise keys.refusal("rope.scaling.finetuned", "false: layers without positions")
    return {
        "attention_multiplier": scale if scale != 0 else options["head_dim"] ** -0.5,
        "logits_scaling": _or_one(keys.number("logit_scale", 1.0)),
        "residual_multiplier": _or_one(keys.number("residual_scale", 1.0)),
        "embedding_multiplier": _or_one(keys.number("embedding_scale", 1.0)),
    }


def phi3_fields(keys: Keys, options: dict[str, Any]) -> dict[str, Any]:
    """Phi-3's window, and the length that it was made for first."""
    window = keys.integer("attention.sliding_window", 0)
    original = options["rope_parameters"].get("original_max_position_embeddings")
    own = {} if original is None else {"original_max_position_embeddings": original}
    return own | {"sliding_window": window if window > 0 else None}


def gemma2_fields(keys: Keys, options: dict[str, Any]) -> dict[str, Any]:
    """Gemma 2's windows and caps; every second layer attends to all tokens."""
    own = _windows(keys, options, largest=46, usual_window=4096, every=2)
    return own | _caps(keys, 50.0, 30.0)


def gemma3_fields(keys: Keys, options: dict[str, Any]) -> dict[str, Any]:
    """Gemma 3's windows, with a rotation of their own; every sixth layer attends to all tokens."""
    own = _windows(keys, options, largest=62, usual_window=None, every=6) | _caps(keys, 0.0, 0.0)
    local = {"rope_type": "default", "rope_theta": keys.number("rope.freq_base_swa", 10000.0)}
    own["rope_parameters"] = {
        "full_attention": options["rope_parameters"],
        "sliding_attention": local,
    }
    return own


def _windows(
    keys: Keys, options: dict[str, Any], *, largest: int, usual_window: int | None, every: int
) -> dict[str, Any]:
    """Windows, and what queries are divided by.

    Args:
        keys: Keys of the file.
        options: Options that are known already.
        largest: Layers of the family's largest model, which divides by its width over its heads,
            which no key says.
        usual_window: Where the file names none.
        every: So many layers have one among them that attends to all tokens.
    """
    layers, head_dim = options["num_hidden_layers"], options["head_dim"]
    usual = options["hidden_size"] / options["num_attention_heads"]
    scale = keys.number("attention.scale", 0.0)
    divisor = usual if layers == largest else head_dim
    own: dict[str, Any] = {
        "query_pre_attn_scalar": divisor if scale == 0 else 1 / scale**2,
        "sliding_window": keys.integer("attention.sliding_window", usual_window),
        "layer_types": _layer_types(keys, layers, every),
    }
    if own["sliding_window"] < 1:
        raise keys.refusal("attention.sliding_window", own["sliding_window"])
    return own


def _caps(keys: Keys, attention: float, final: float) -> dict[str, Any]:
    """Caps of logits, by their usual values; 0 is none."""
    usual = {"attn_logit_softcapping": attention, "final_logit_softcapping": final}
    found = {name: keys.number(name, default) for name, default in usual.items()}
    return {name: cap if cap != 0 else None for name, cap in found.items()}


def _layer_types(keys: Keys, layers: int, every: int) -> list[str]:
    name = "attention.sliding_window_pattern"
    local = tuple((layer + 1) % every != 0 for layer in range(layers))
    if keys.has(name):
        found = keys.pattern(name)
        if isinstance(found, int):
            local = tuple(found > 0 and (layer + 1) % found != 0 for layer in range(layers))
        else:
            local = found
    if len(local) != layers:
        raise keys.refusal(name, f"{len(local)} values for {layers} layers")
    return ["sliding_attention" if is_local else "full_attention" for is_local in local]


def _or_one(scale: float) -> float:
    return 1.0 if scale == 0 or math.isnan(scale) else scale
