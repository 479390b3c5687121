"""Attention as a graph holds it: one scaled dot product, whose mask says who sees whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from nanoaccel.exporters.targets.openvino.tracing.states import ExpandedLayer

if TYPE_CHECKING:
    from torch import Tensor

    from nanoaccel.exporters.targets.openvino.tracing.windows import Mask

NAME = "nanoaccel_traced"
_MASK = "nanoaccel_mask_function"  # attribute of a mask: what it was made by


@dataclass(slots=True)
class Attentions:
    """What the attentions of a model are told and tell, while it runs or is traced.

    Attributes:
        masks: The mask of each that was computed, in order; None where it is not known.
        sizes: By layer, the sizes of keys and of values that it reads, those of heads and of width.
        layers: Layers of the cache that the model runs with.
    """

    masks: list[Mask] = field(default_factory=list)
    sizes: dict[int, tuple[tuple[int, int], tuple[int, int]]] = field(default_factory=dict)
    layers: Sequence[object] = ()

    def note(self, module: torch.nn.Module, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Note what a layer reads; what it shall read, which is more where the cache waits for it.

        Args:
            module: The layer.
            key: f32[B, G, S, D].
            value: f32[B, G, S, E].
        """
        place = getattr(module, "layer_idx", None)
        if place is None:
            return key, value
        self.sizes[place] = _heads(key), _heads(value)
        layer = self.layers[place] if place < len(self.layers) else None
        return layer.join(key, value) if isinstance(layer, ExpandedLayer) else (key, value)


def register() -> Attentions:
    """Tell transformers of the attention, and of the masks that it reads."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    found = Attentions()

    def noted(
        module: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **options: Any,
    ) -> tuple[Tensor, None]:
        mask = getattr(attention_mask, _MASK, None)
        if mask is None and "sliding_window" in options:  # a part of a mask
            mask = options["sliding_window"] or 0
        found.masks.append(mask)
        key, value = found.note(module, key, value)
        return attend(module, query, key, value, attention_mask, **options)

    ALL_ATTENTION_FUNCTIONS.register(NAME, noted)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, who_sees_whom)
    return found


def who_sees_whom(*sizes: Any, **options: Any) -> Tensor:
    """The mask bool[B, 1, T, S] of transformers, always whole: a graph has texts of all lengths."""
    from transformers.masking_utils import causal_mask_function, sdpa_mask

    whole = {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
    mask: Tensor = sdpa_mask(*sizes, **{**options, **whole, "use_vmap": False})
    setattr(mask, _MASK, options.get("mask_function", causal_mask_function))
    return mask


def attend(
    module: torch.nn.Module,  # noqa: ARG001
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it.

    Args:
        module: The layer.
        query: f32[B, H, T, D].
        key: f32[B, G, S, D], one for every H / G heads.
        value: f32[B, G, S, E].
        attention_mask: bool[B, 1, T, S], true where a token is seen.
        scaling: Factor of scores; None is D ** -0.5.
        softcap: Scores stay within it.
        s_aux: f32[H], the score of a token that every head sees and that has no value.

    Returns:
        f32[B, T, H, E], and no weights.
    """
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = _repeated(key, groups), _repeated(value, groups)
    if softcap is None and s_aux is None:
        out = scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, scale=scaling
        )
    else:
        out = _spelled_out(query, key, value, attention_mask, scaling, softcap, s_aux)
    return out.transpose(1, 2).contiguous(), None


def _spelled_out(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None,
    softcap: float | None,
    s_aux: Tensor | None,
) -> Tensor:
    """What a single operator does not compute; OpenVINO knows the form with a sink."""
    scale = 1 / math.sqrt(query.shape[-1]) if scaling is None else scaling
    scores = torch.matmul(query, key.transpose(2, 3)) * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if attention_mask is not None:
        unseen = torch.finfo(torch.float32).min
        scores = scores + torch.where(attention_mask, 0.0, unseen).to(scores.dtype)
    if s_aux is None:
        return torch.matmul(torch.softmax(scores, dim=-1), value)
    sinks = s_aux.reshape(1, -1, 1, 1).expand(query.shape[0], -1, query.shape[-2], -1)
    combined = torch.cat([scores, sinks], dim=-1)
    combined = combined - combined.max(dim=-1, keepdim=True).values
    weights = torch.softmax(combined, dim=-1)[..., :-1]
    return torch.matmul(weights, value)


def _repeated(states: Tensor, groups: int) -> Tensor:
    batch, heads, length, width = states.shape
    wide = states[:, :, None].expand(batch, heads, groups, length, width)
    return wide.reshape(batch, heads * groups, length, width)


def _heads(states: Tensor) -> tuple[int, int]:
    _, heads, _, width = states.shape
    return int(heads), int(width)
