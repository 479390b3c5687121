"""What must be known of an architecture that neither its config.json nor its graph says.

An architecture without an entry needs none: all that is computed of it stands in its graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

Config: TypeAlias = Mapping[str, Any]


def _nothing(_: Config) -> None:
    """For architectures that have no such thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Facts about one architecture. Configs are those of the text model, as in config.json.

    Args:
        obstacle: Function that gives what of a config the engine cannot compute with paged
            attention; None when nothing.
        layer_windows: Function that gives the tokens that each layer of a config looks back at, 0
            for all, where the graph has them as masks; None where the graph knows them.
        alibi_slopes: Function that gives what each head subtracts for a token of distance, where
            the graph has it as a mask; None where the graph knows it.
        scaled_length: Whether ``max_position_embeddings`` counts scaled positions already.
        long_factors: Whether transformers rotates long texts by LongRoPE's long factors.
    """

    obstacle: Callable[[Config], str | None] = _nothing
    layer_windows: Callable[[Config], list[int] | None] = _nothing
    alibi_slopes: Callable[[Config], list[float] | None] = _nothing
    scaled_length: bool = False
    long_factors: bool = True


def architecture_of(config: Config) -> Architecture:
    """What is known of the architecture of a config."""
    return ARCHITECTURES.get(str(config.get("model_type")), _USUAL)


def _refused_if(option: str, value: Any, reason: str) -> Callable[[Config], str | None]:
    """Refuses configs in which an option is set (value True), or has a value."""

    def obstacle(config: Config) -> str | None:
        found = config.get(option)
        return reason if (bool(found) if value is True else found == value) else None

    return obstacle


def _mpt_obstacle(config: Config) -> str | None:
    clips = (config.get("attn_config") or {}).get("clip_qkv")
    return "its attention clips queries, keys and values (clip_qkv)" if clips else None


def _mpt_slopes(config: Config) -> list[float] | None:
    """By Press et al. 2022; for heads that are no power of two, every second of the next power
    comes first.
    """
    attention = config.get("attn_config") or {}
    if not attention.get("alibi"):
        return None
    heads, most = int(config["n_heads"]), float(attention.get("alibi_bias_max") or 8)
    count = 2 ** math.ceil(math.log2(heads))
    slopes = [2.0 ** -((index + 1) * most / count) for index in range(count)]
    return slopes if count == heads else (slopes[1::2] + slopes[::2])[:heads]


def _bloom_slopes(config: Config) -> list[float]:
    """By Press et al. 2022; for heads that are no power of two, every second of the next power
    comes last.
    """
    heads = int(config.get("n_head") or config["num_attention_heads"])
    count = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** -((index + 1) * 8 / count) for index in range(count)]
    between = [2.0 ** -((index + 1) * 4 / count) for index in range(0, 2 * count, 2)]
    return slopes + between[: heads - count]


def _gpt_neo_windows(config: Config) -> list[int]:
    window = int(config["window_size"])
    layers = config.get("attention_layers")
    if layers is None:
        layers = [kind for kinds, count in config["attention_types"] for kind in kinds * count]
    return [window if kind == "local" else 0 for kind in layers]


_USUAL = Architecture()
_GEMMA3 = Architecture(scaled_length=True)

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "bloom": Architecture(alibi_slopes=_bloom_slopes),
        "falcon": Architecture(
            obstacle=_refused_if(
                "alibi", True, "its attention adds positions rounded to bf16 (alibi=True)"
            )
        ),
        "gemma3": _GEMMA3,
        "gemma3_text": _GEMMA3,
        "gemma3n": _GEMMA3,
        "gemma3n_text": _GEMMA3,
        "gpt_neo": Architecture(layer_windows=_gpt_neo_windows),
        # It scales long texts by the long factor, and rotates them by the short ones.
        "phimoe": Architecture(long_factors=False),
        "mpt": Architecture(obstacle=_mpt_obstacle, alibi_slopes=_mpt_slopes),
    }
)
