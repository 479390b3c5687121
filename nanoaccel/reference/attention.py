"""The attention that models of transformers call: over the cache of each sequence by itself.

transformers lets an attention function be registered by name. A model that uses this one runs the
tokens of all sequences as one row; only here are they told apart.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from nanoaccel.reference.kernel import attend

NAME = "nanoaccel"
# Where an attention module keeps which one it is. A tensor, so that what torch.compile makes of one
# layer fits the others.
PLACE = "nanoaccel_place"


@dataclass(frozen=True, slots=True)
class Part:
    """A sequence's tokens in a pass.

    Args:
        begin: Place of its first token in the pass.
        end: End of the one behind its last.
        slot: Where its cache is.
        past: Tokens in the cache.
    """

    begin: int
    end: int
    slot: int
    past: int


class CachedAttention:
    """All attention of a model, and what it has cached.

    Args:
        windows: For each layer how many tokens one sees, itself included; None is all.

    Attributes:
        number: Names it among others.
    """

    def __init__(self, windows: Sequence[int | None]) -> None:
        self.number = next(_numbers)
        self._windows = windows
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._parts: Sequence[Part] = ()
        self._masks: dict[tuple[int, int | None], Tensor] = {}
        _live[self.number] = self

    def place(self, layer: int) -> Tensor:
        """What the attention module of a layer keeps as ``PLACE``."""
        return torch.tensor([self.number, layer])

    def bind(self, keys: list[Tensor], values: list[Tensor]) -> None:
        """Use other memory for the cache: [slots, heads, tokens, width] for each layer."""
        self._keys, self._values = keys, values

    def begin(self, parts: Sequence[Part]) -> None:
        """The next calls are of a pass over these."""
        self._parts = parts
        self._masks = {}

    def run(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        softcap: float | None,
        sinks: Tensor | None,
    ) -> Tensor:
        """Cache keys and values, and attend.

        Args:
            layer: Index of the layer, from 0, in the order of their calls.
            query: [1, heads, T, width]; T may be more than the tokens of all parts.
            key: [1, key heads, T, width].
            value: [1, key heads, T, value width].
            scale: Scale of products.
            softcap: Limit of scores; None has none.
            sinks: [heads], scores of what is attended to and adds nothing; None has none.

        Returns:
            [1, T, heads, value width].
        """
        keys, values, window = self._keys[layer], self._values[layer], self._windows[layer]
        tokens = query.shape[2]
        used = self._parts[-1].end if self._parts else 0
        made = query.new_empty if used == tokens else query.new_zeros
        out = made((1, tokens, query.shape[1], value.shape[3]))
        for index, part in enumerate(self._parts):
            length = part.past + part.end - part.begin
            own_keys, own_values = keys[part.slot, :, :length], values[part.slot, :, :length]
            own_keys[:, part.past :] = key[0, :, part.begin : part.end]
            own_values[:, part.past :] = value[0, :, part.begin : part.end]
            first = 0 if window is None else max(0, part.past + 1 - window)
            mask = None
            if part.end - part.begin > 1:
                mask = self._masks.get((index, window))
                if mask is None:
                    mask = _mask(part.past, length, first, window)
                    self._masks[index, window] = mask
            attend(
                query[0, :, part.begin : part.end],
                own_keys[:, first:],
                own_values[:, first:],
                mask,
                out[0, part.begin : part.end],
                scale=scale,
                softcap=softcap,
                sinks=sinks,
            )
        return out


def _mask(past: int, length: int, first: int, window: int | None) -> Tensor:
    """bool[tokens, keys]: which keys from ``first`` on a new token sees."""
    query = torch.arange(past, length)[:, None]
    key = torch.arange(first, length)[None, :]
    seen = key <= query
    return seen if window is None else seen & (key > query - window)


_numbers = count()
_live: weakref.WeakValueDictionary[int, CachedAttention] = weakref.WeakValueDictionary()


def _run(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    place: Tensor,
    scale: float,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    number, layer = place.tolist()
    return _live[number].run(layer, query, key, value, scale, softcap, sinks)


def _shape_only(
    query: Tensor,
    key: Tensor,  # noqa: ARG001
    value: Tensor,
    place: Tensor,  # noqa: ARG001
    scale: float,  # noqa: ARG001
    softcap: float | None,  # noqa: ARG001
    sinks: Tensor | None,  # noqa: ARG001
) -> Tensor:
    return query.new_empty((1, query.shape[2], query.shape[1], value.shape[3]))


# An operator of its own, which torch.compile leaves as it is. It writes to memory that is none of
# its arguments; each call depends on the one before through what it computes from.
_library = torch.library.Library("nanoaccel", "DEF")
_library.define(
    "attend(Tensor query, Tensor key, Tensor value, Tensor place, float scale, float? softcap, "
    "Tensor? sinks) -> Tensor"
)
_library.impl("attend", _run, "CPU")
torch.library.register_fake("nanoaccel::attend", _shape_only, lib=_library)


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """What a model calls; other arguments were looked at when it was loaded."""
    assert attention_mask is None, "no mask is made for this attention"
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    place = getattr(module, PLACE)
    operator = torch.ops.nanoaccel.attend if torch.compiler.is_compiling() else _run
    return operator(query, key, value, place, scale, softcap, s_aux), None


AttentionInterface.register(NAME, attention)
