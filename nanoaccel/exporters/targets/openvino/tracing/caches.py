"""What a model keeps from token to token, and a cache of transformers over plain tensors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from nanoaccel.exporters.targets.openvino.tracing.states import StateCache, layer_of

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel
    from transformers.cache_utils import Cache

    from nanoaccel.exporters.targets.openvino.tracing.attention import Attentions

Sizes: TypeAlias = tuple[int, ...]
# Heads and width of keys, and of values.
Read: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
_ARGUMENTS = ("past_key_values", "cache")
STATES = "cache_params"
POSITIONS = "nanoaccel_positions"  # attribute of a cache
_TOKENS = -1
# Fields of a cache's layer, and what their tensors are called in the graph.
_KEYS = {"keys": "key", "values": "value"}
_STATES = {"conv_states": "conv", "recurrent_states": "ssm"}


@dataclass(frozen=True, slots=True)
class CachedTensor:
    """A tensor that a model keeps.

    Args:
        name: Its name in the graph, as in "past_key_values.3.key".
        layer: Layer of the cache that it belongs to.
        field: Attribute of that layer.
        sizes: Its sizes behind that of sequences; -1 is the tokens of keys and values.
    """

    name: str
    layer: int
    field: str
    sizes: Sizes

    @property
    def is_state(self) -> bool:
        """Whether it stays as large as it is, however many tokens there are."""
        return _TOKENS not in self.sizes


@dataclass(frozen=True, slots=True)
class CachedTensors:
    """All that a model keeps.

    Args:
        argument: Argument of its forward pass that takes the cache.
        tensors: In the order of the graph.
        layers: Layers that its cache has, those without tensors of their own included.
        expanded: Those whose keys and values are what attention reads; the model keeps less.
    """

    argument: str
    tensors: Sequence[CachedTensor]
    layers: int
    expanded: frozenset[int]

    @property
    def has_keys(self) -> bool:
        """Whether any layer attends."""
        return not all(one.is_state for one in self.tensors)

    def cache(self, values: Sequence[Tensor], positions: Tensor) -> StateCache:
        """A cache that holds these values.

        Args:
            values: As ``tensors``, each f32[B, *sizes].
            positions: Those of new tokens, i64[B, T], for layers that would count them themselves.
        """
        fields: list[dict[str, Tensor]] = [{} for _ in range(self.layers)]
        for tensor, value in zip(self.tensors, values, strict=True):
            fields[tensor.layer][tensor.field] = value
        cache = StateCache()
        setattr(cache, POSITIONS, positions)
        cache.layers = [
            layer_of(held, expanded=layer in self.expanded) for layer, held in enumerate(fields)
        ]
        return cache

    def values(self, cache: Cache) -> list[Tensor]:
        """What a cache holds now, as ``tensors``."""
        found = []
        for one in self.tensors:
            value = getattr(cache.layers[one.layer], one.field)
            found.append(value[0] if one.field in _STATES else value)
        return found


def find_cached(model: PreTrainedModel, attentions: Attentions) -> CachedTensors:
    """Find out what a model keeps, by a run over two tokens.

    Args:
        model: With our attention.
        attentions: What these tell.

    Raises:
        ValueError: A layer keeps something else than keys and values of all tokens, the last tokens
            of a convolution, and the state of a recurrence.
    """
    from transformers.cache_utils import DynamicCache

    names = inspect.signature(model.forward).parameters
    argument = next(name for name in _ARGUMENTS if name in names)
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        model(torch.tensor([[1, 2]]), use_cache=True, **{argument: cache})
    tensors: list[CachedTensor] = []
    numbers = {"key": 0, "conv": 0}  # of layers with keys, and of layers with states
    expanded = set()
    for index, layer in enumerate(cache.layers):
        for names_of, first in ((_KEYS, "key"), (_STATES, "conv")):
            held = dict(_held(layer, names_of))
            if first == "key" and _is_latent(held, attentions.sizes.get(index)):
                expanded.add(index)
                held = _read(attentions.sizes[index])
            for field, sizes in held.items():
                name = _name(first, numbers[first], names_of[field])
                tensors.append(CachedTensor(name, index, field, sizes))
            numbers[first] += bool(held)
    return CachedTensors(argument, tensors, len(cache.layers), frozenset(expanded))


def _is_latent(held: dict[str, Sizes], read: Read | None) -> bool:
    """Whether a layer keeps something else than what its attention reads."""
    if not held or read is None:
        return False
    return any(kept[-1] != width for kept, (_, width) in zip(held.values(), read, strict=True))


def _read(read: Read) -> dict[str, Sizes]:
    """The sizes that keys and values have where they are kept as attention reads them."""
    return {
        field: (heads, _TOKENS, width) for field, (heads, width) in zip(_KEYS, read, strict=True)
    }


def _name(first: str, number: int, word: str) -> str:
    """As optimum-intel names them."""
    if first == "key":
        return f"past_key_values.{number}.{word}"
    return f"{STATES}.past.{word}.{number}"


def _held(layer: Any, fields: dict[str, str]) -> Iterator[tuple[str, Sizes]]:
    """Fields of a layer that hold something, with the sizes of what they hold."""
    for field in fields:
        value = getattr(layer, field, None)
        if isinstance(value, dict):
            if len(value) > 1:
                raise ValueError(f"a layer of the cache has {len(value)} states")
            value = value[0]
        if value is None:
            continue  # a layer that reads the keys of another, or has no such state
        _, *sizes = value.shape
        if fields is _KEYS:
            sizes[1] = _TOKENS
        yield field, tuple(sizes)
