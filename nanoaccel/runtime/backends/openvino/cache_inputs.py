"""Which inputs of a compiled graph are its cache, and what a block or a state is in each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import openvino as ov

_KEYS_AND_VALUES = ("key_cache", "value_cache")
_STATES = ("conv_state_table", "gated_delta_state_table", "selective_ssm_state_table")


@dataclass(frozen=True, slots=True)
class CacheInput:
    """The keys or the values of a layer, or a recurrent state of it.

    Args:
        index: Number of the input.
        kind: "key", "value", "conv", "gated_delta" or "selective_ssm".
        layer: Number of the layer, among those of its kind.
        element_type: Element type of the cached numbers.
        block_shape: Shape of a block, or of a state.
    """

    index: int
    kind: str
    layer: int
    element_type: ov.Type
    block_shape: tuple[int, ...]

    @property
    def block_bytes(self) -> int:
        """Bytes of a block, or of a state."""
        bits: int = self.element_type.bitwidth
        return math.prod(self.block_shape) * bits // 8

    def __str__(self) -> str:
        sizes = ",".join(map(str, self.block_shape))
        return f"{self.kind} {self.element_type.get_type_name()}[{sizes}]"


def is_cache(name: str) -> bool:
    """Whether an input of this name holds keys or values."""
    return name.partition(".")[0] in _KEYS_AND_VALUES


def is_state(name: str) -> bool:
    """Whether an input of this name holds recurrent states."""
    return name.partition(".")[0] in _STATES


def cache_inputs(inputs: Sequence[ov.Output]) -> list[CacheInput]:
    """The cache inputs among a graph's: keys by layer, then values by layer."""
    return _inputs(inputs, is_cache)


def state_inputs(inputs: Sequence[ov.Output]) -> list[CacheInput]:
    """The inputs with recurrent states among a graph's, by kind, then by layer."""
    return _inputs(inputs, is_state)


def _inputs(inputs: Sequence[ov.Output], belongs: Callable[[str], bool]) -> list[CacheInput]:
    found = [
        _cache_input(index, value)
        for index, value in enumerate(inputs)
        if belongs(value.get_any_name())
    ]
    return sorted(found, key=lambda cache: (cache.kind, cache.layer))


def describe(caches: Sequence[CacheInput]) -> str:
    """Types and shapes in words, like "30 x key u8[3,40,64]"."""
    groups = [(name, len(list(same))) for name, same in groupby(map(str, caches))]
    return ", ".join(f"{count} x {name}" for name, count in groups)


def _cache_input(index: int, value: ov.Output) -> CacheInput:
    name, _, layer = value.get_any_name().partition(".")
    kind = name.removesuffix("_cache").removesuffix("_state_table")
    shape = tuple(size.get_length() for size in list(value.get_partial_shape())[1:])
    return CacheInput(index, kind, int(layer), value.get_element_type(), shape)
