"""How many tokens a model can attend to, as its config.json says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanoaccel.bundle.architectures import architecture_of

_CONTEXT_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "seq_length",
    "model_max_length",
)


def find_context_length(config: Mapping[str, Any]) -> int | None:
    """Tokens that a model can attend to, by its config.json; None when that does not say.

    Scaled positions count, as in vLLM: of "yarn" those that the model was first made for times the
    factor, of "linear" too. Where a config does not name the first
    ones, ``max_position_embeddings`` are they, but not of Gemma 3: it is the scaled number there,
    as it is with "llama3" and "longrope". "dynamic" stays at that number: beyond it the rotation
    depends on the length of each text, which no exported graph can follow.
    """
    found = (config.get(name) for name in _CONTEXT_KEYS)
    length = next((value for value in found if type(value) is int), None)
    if length is None:
        inner = config.get("text_config")
        return find_context_length(inner) if isinstance(inner, Mapping) else None
    rope = config.get("rope_parameters")
    if not isinstance(rope, Mapping):
        rope = config.get("rope_scaling")
    if not isinstance(rope, Mapping):
        return length
    kind, factor = rope.get("rope_type", rope.get("type")), rope.get("factor")
    if architecture_of(config).scaled_length:
        return length
    if kind not in ("yarn", "linear") or not isinstance(factor, int | float) or factor < 1:
        return length
    first = rope.get("original_max_position_embeddings")
    if type(first) is int:
        return max(length, int(first * factor))
    return int(length * factor)
