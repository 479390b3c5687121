"""Which inputs of a compiled graph are its cache, and what a block is in each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import openvino as ov

_SEPARATOR = "_cache."


@dataclass(frozen=True, slots=True)
class CacheInput:
    """The keys or the values of a layer.

    Args:
        index: Number of the input.
        kind: "key" or "value".
        layer: Number of the layer.
        element_type: Element type of the cached numbers.
        block_shape: Shape of a block.
    """

    index: int
    kind: str
    layer: int
    element_type: ov.Type
    block_shape: tuple[int, ...]

    @property
    def block_bytes(self) -> int:
        """Bytes of a block."""
        bits: int = self.element_type.bitwidth
        return math.prod(self.block_shape) * bits // 8

    def __str__(self) -> str:
        sizes = ",".join(map(str, self.block_shape))
        return f"{self.kind} {self.element_type.get_type_name()}[{sizes}]"


def is_cache(name: str) -> bool:
    """Whether an input of this name is one."""
    kind, separator, _ = name.partition(_SEPARATOR)
    return separator != "" and kind in ("key", "value")


def cache_inputs(inputs: Sequence[ov.Output]) -> list[CacheInput]:
    """The cache inputs among a graph's: keys by layer, then values by layer."""
    found = [
        _cache_input(index, value)
        for index, value in enumerate(inputs)
        if is_cache(value.get_any_name())
    ]
    return sorted(found, key=lambda cache: (cache.kind, cache.layer))


def describe(caches: Sequence[CacheInput]) -> str:
    """Types and shapes in words, like "30 x key u8[3,40,64]"."""
    groups = [(name, len(list(same))) for name, same in groupby(map(str, caches))]
    return ", ".join(f"{count} x {name}" for name, count in groups)


def _cache_input(index: int, value: ov.Output) -> CacheInput:
    kind, layer = value.get_any_name().split(_SEPARATOR)
    shape = tuple(size.get_length() for size in list(value.get_partial_shape())[1:])
    return CacheInput(index, kind, int(layer), value.get_element_type(), shape)
