"""Attention over packed texts: none sees another, and texts of about one length go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from nanoaccel.exporters.targets.openvino.tracing.attention import attend

NAME = "nanoaccel_packed"
_WASTE = 1.25  # tokens with padding, for each without


@dataclass(frozen=True, slots=True)
class _Group:
    """Texts that are attended together.

    Args:
        count: How many.
        length: Tokens of the longest.
        tokens: i64[count * length], their tokens in the row; shorter ones repeat their last.
    """

    count: int
    length: int
    tokens: Tensor


class PackedAttention:
    """What transformers calls as the attention, and for its masks, while texts are packed.

    A pass sets the lengths of its texts before the model runs over it.
    """

    def __init__(self) -> None:
        self._groups: list[_Group] = []
        self._back = torch.empty(0, dtype=torch.int64)
        self._longest = 0

    def register(self) -> None:
        """Tell transformers of it, by ``NAME``."""
        from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        ALL_ATTENTION_FUNCTIONS.register(NAME, self.attend)
        ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, self.mask)

    def set_lengths(self, lengths: Sequence[int]) -> None:
        """Say how long the texts of the next pass are, in their order."""
        begins = [sum(lengths[:i]) for i in range(len(lengths))]
        self._longest = max(lengths)
        self._groups, places = [], torch.empty(sum(lengths), dtype=torch.int64)
        taken = 0
        for numbers in _grouped(lengths):
            longest = max(lengths[i] for i in numbers)
            lines = [begins[i] + torch.arange(longest).clamp_(max=lengths[i] - 1) for i in numbers]
            for line, i in enumerate(numbers):
                at = taken + line * longest
                places[begins[i] : begins[i] + lengths[i]] = torch.arange(at, at + lengths[i])
            self._groups.append(_Group(len(numbers), longest, torch.cat(lines)))
            taken += len(numbers) * longest
        self._back = places

    def mask(self, *_: Any, mask_function: Any = None, **__: Any) -> Tensor | None:
        """Who sees whom within a text, bool[1, 1, L, L]; None where all that came before is seen.

        A model's own mask function speaks of places in a text, and every text begins at 0.
        """
        from transformers.masking_utils import causal_mask_function

        if mask_function is None or mask_function is causal_mask_function:
            return None
        places = torch.arange(self._longest)
        first = torch.tensor(0)
        seen: Tensor = mask_function(first, first, places[:, None], places[None])
        seen = seen.expand(self._longest, self._longest)
        causal = places[:, None] >= places[None]
        return None if torch.equal(seen, causal) else seen[None, None]

    def attend(
        self,
        module: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        **options: Any,
    ) -> tuple[Tensor, None]:
        """Attention as transformers calls it; see ``attend`` of the tracing.

        Args:
            module: The layer.
            query: [1, H, T, D].
            key: [1, G, T, D].
            value: [1, G, T, E].
            attention_mask: What ``mask`` gave.
            scaling: Factor of scores; None is D ** -0.5.
            options: Soft cap and sinks, where a model has them.

        Returns:
            [1, T, H, E], and no weights.
        """
        outs = []
        for group in self._groups:
            parts = (_texts(query, group), _texts(key, group), _texts(value, group))
            outs.append(_attended(module, parts, attention_mask, scaling, options).flatten(0, 1))
        return torch.cat(outs).index_select(0, self._back)[None], None


def _grouped(lengths: Sequence[int]) -> list[list[int]]:
    """Numbers of texts in groups that need little padding, longest first."""
    groups: list[list[int]] = []
    tokens = 0
    for number in sorted(range(len(lengths)), key=lambda one: -lengths[one]):
        if groups:
            padded = (len(groups[-1]) + 1) * lengths[groups[-1][0]]
            if padded <= _WASTE * (tokens + lengths[number]):
                groups[-1].append(number)
                tokens += lengths[number]
                continue
        groups.append([number])
        tokens = lengths[number]
    return groups


def _texts(states: Tensor, group: _Group) -> Tensor:
    """[1, H, T, D] to [count, H, length, D]."""
    chosen = states.transpose(1, 2)[0].index_select(0, group.tokens)
    return chosen.unflatten(0, (group.count, group.length)).transpose(1, 2)


def _attended(
    module: torch.nn.Module,
    parts: tuple[Tensor, Tensor, Tensor],
    mask: Tensor | None,
    scaling: float | None,
    options: dict[str, Any],
) -> Tensor:
    """[count, length, H, E]."""
    query, key, value = parts
    length = query.shape[2]
    special = options.get("softcap") is not None or options.get("s_aux") is not None
    if mask is None and not special:
        out = scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scaling, enable_gqa=True
        )
        return out.transpose(1, 2)
    if mask is None:
        mask = torch.ones((1, 1, length, length), dtype=torch.bool).tril()
    return attend(module, *parts, mask[..., :length, :length], scaling, **options)[0]
