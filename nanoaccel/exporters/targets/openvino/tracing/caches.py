"""What a model keeps from token to token, and a cache of transformers over plain tensors."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel
    from transformers.cache_utils import Cache, DynamicLayer

_ARGUMENTS = ("past_key_values", "cache")


@dataclass(frozen=True, slots=True)
class CachedTensor:
    """A tensor that a model keeps.

    Args:
        name: Its name in the graph, as in "past_key_values.3.key".
        layer: Layer of the cache that it belongs to.
        field: Attribute of that layer.
        heads: Heads of a token.
        width: Numbers of a head.
    """

    name: str
    layer: int
    field: str
    heads: int
    width: int


@dataclass(frozen=True, slots=True)
class CachedTensors:
    """All that a model keeps.

    Args:
        argument: Argument of its forward pass that takes the cache.
        tensors: In the order of the graph.
        layers: Layers that its cache has, those without tensors of their own included.
    """

    argument: str
    tensors: Sequence[CachedTensor]
    layers: int

    def cache(self, values: Sequence[Tensor]) -> Cache:
        """A cache that holds these values.

        Args:
            values: As ``tensors``, each f32[B, heads, P, width].
        """
        from transformers.cache_utils import DynamicCache, DynamicLayer

        cache = DynamicCache()
        cache.layers = [DynamicLayer() for _ in range(self.layers)]
        for tensor, value in zip(self.tensors, values, strict=True):
            layer = cache.layers[tensor.layer]
            layer.dtype, layer.device, layer.is_initialized = value.dtype, value.device, True
            setattr(layer, tensor.field, value)
        return cache

    def values(self, cache: Cache) -> list[Tensor]:
        """What a cache holds now, as ``tensors``."""
        return [getattr(cache.layers[one.layer], one.field) for one in self.tensors]


def find_cached(model: PreTrainedModel) -> CachedTensors:
    """Find out what a model keeps, by a run over two tokens.

    Raises:
        UnsupportedCacheError: A layer keeps something else than keys and values of all tokens.
    """
    from transformers.cache_utils import DynamicCache

    names = inspect.signature(model.forward).parameters
    argument = next(name for name in _ARGUMENTS if name in names)
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        model(torch.tensor([[1, 2]]), use_cache=True, **{argument: cache})
    tensors: list[CachedTensor] = []
    for index, layer in enumerate(cache.layers):
        if getattr(layer, "keys", None) is None:
            continue  # it reads the keys of another layer
        number = len(tensors) // 2
        for field in ("keys", "values"):
            tensors.append(_tensor(layer, index, number, field))
    return CachedTensors(argument, tensors, len(cache.layers))


def _tensor(layer: DynamicLayer, index: int, number: int, field: str) -> CachedTensor:
    name = f"past_key_values.{number}.{field.removesuffix('s')}"
    _, heads, _, width = getattr(layer, field).shape
    return CachedTensor(name, index, field, heads, width)
