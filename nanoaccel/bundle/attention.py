"""What a model's config.json says of its attention: what an engine must add, and what it cannot do.

Traced graphs hold it as masks, and paged attention drops masks. So it is read where graphs are
made, to refuse a model before any work, and where they are loaded, plain folders included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nanoaccel.bundle.architectures import architecture_of

# Layers that look back at keys, carry a recurrent state, do both, or neither.
_ATTENTION = ("attention", "full_attention", "sliding_attention", "chunked_attention")
_BOTH = "hybrid"
_RECURRENT = ("conv", "linear_attention", "mamba", _BOTH)
_NEITHER = ("mlp", "moe")
_KINDS = ("layer_types", "layers_block_type")
_CAPS = ("attn_logit_softcapping", "attn_logit_softcap")
_CHUNK = "attention_chunk_size"
_LONG_ROPES = ("longrope", "su")
_ORIGINAL = "original_max_position_embeddings"
# Where a traced graph of OpenVINO names the windows of its layers, as in "512,512,0".
WINDOWS = ["nanoaccel", "windows"]


def state_obstacle(config: Mapping[str, Any]) -> str | None:
    """What a model keeps from token to token that no engine keeps; None when nothing.

    Args:
        config: Config of the text model, as config.json has it.
    """
    kinds = sorted(layer_kinds(config) - {*_ATTENTION, *_RECURRENT, *_NEITHER})
    if kinds:
        return f"it has layers of a kind that is not known ({kinds[0]})"
    return None


def paging_obstacle(config: Mapping[str, Any]) -> str | None:
    """What of a model OpenVINO's paged attention does not compute; None when nothing.

    Args:
        config: Config of the text model, as config.json has it.
    """
    for name in _CAPS:
        if config.get(name):
            return f"its attention caps logits ({name}={config[name]})"
    return architecture_of(config).obstacle(config)


def layer_kinds(config: Mapping[str, Any]) -> set[str]:
    """Kinds of layers that a config names; empty where it names none."""
    return {kind for name in _KINDS for kind in config.get(name) or ()}


def has_recurrent_layers(config: Mapping[str, Any]) -> bool:
    """Whether some layers carry a recurrent state, as far as a config says."""
    return not layer_kinds(config).isdisjoint(_RECURRENT)


def has_keys(config: Mapping[str, Any]) -> bool:
    """Whether some layers look back at keys, as far as a config says."""
    kinds = layer_kinds(config)
    return not kinds or not kinds <= {*_RECURRENT, *_NEITHER} - {_BOTH}


def layer_windows(config: Mapping[str, Any]) -> list[int] | None:
    """Tokens that each layer looks back at, 0 for all; None where the graph knows them."""
    return architecture_of(config).layer_windows(config)


def alibi_slopes(config: Mapping[str, Any]) -> list[float] | None:
    """What each head subtracts for a token of distance; None where the graph knows it."""
    return architecture_of(config).alibi_slopes(config)


def uniform_length(
    config: Mapping[str, Any], *, long_factors: bool = False
) -> tuple[int, str] | None:
    """Tokens up to which every token is computed alike, and what ends there; None without an end.

    Beyond it the model reads a whole sequence another way because of its length. An engine has
    sequences of all lengths in one pass, and keys that were computed when a text was short.

    Args:
        config: Config of the text model, as config.json has it.
        long_factors: Whether the graph tells long texts from short ones (``LongFactors``).
    """
    found: list[tuple[int, str]] = []
    border = long_border(config)
    if border is not None and not (long_factors and architecture_of(config).long_factors):
        found.append((border, "its LongRoPE factors change there for the whole text"))
    for rope in _ropes(config):
        if _kind(rope) == "dynamic":
            before = _original_length(rope, config)
            length = before if before else config.get("max_position_embeddings")
            reason = "its dynamic rotary scaling changes with every token from there on"
            found += [] if length is None else [(int(length), reason)]
    if "chunked_attention" in (config.get("layer_types") or ()) and config.get(_CHUNK):
        found.append((int(config[_CHUNK]), f"its attention is cut into chunks ({_CHUNK})"))
    return min(found, default=None)


def long_border(config: Mapping[str, Any]) -> int | None:
    """Tokens of the longest text with the short factors of LongRoPE; None where it has none."""
    lengths = [
        _original_length(rope, config) for rope in _ropes(config) if _kind(rope) in _LONG_ROPES
    ]
    return min((int(length) for length in lengths if length), default=None)


def _kind(rope: Mapping[str, Any]) -> Any:
    return rope.get("rope_type", rope.get("type"))


def _original_length(rope: Mapping[str, Any], config: Mapping[str, Any]) -> Any:
    length = rope.get(_ORIGINAL)
    return config.get(_ORIGINAL) if length is None else length


def _ropes(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Rotary parameters, of all layers or by kinds of layers, in the old key or the new."""
    for name in ("rope_parameters", "rope_scaling"):
        found = config.get(name)
        if isinstance(found, Mapping):
            yield found
            yield from (part for part in found.values() if isinstance(part, Mapping))
