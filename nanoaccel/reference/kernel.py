"""Attention of one sequence's new tokens over its cached ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None,
    out: Tensor,
    *,
    scale: float,
    softcap: float | None,
    sinks: Tensor | None,
) -> None:
    """Compute attention into ``out``.

    Args:
        query: [heads, n, width].
        keys: [key heads, length, width]; a key head serves as many heads that follow each other.
        values: [key heads, length, value width].
        mask: bool[n, length]; None lets each token see all.
        out: [n, heads, value width].
        scale: Scale of products.
        softcap: Limit of scores; None has none.
        sinks: [heads], scores of what is attended to and adds nothing; None has none.
    """
    heads, tokens, width = query.shape
    groups = heads // keys.shape[0]
    if softcap is not None or sinks is not None:
        result = _plain(query, keys, values, mask, scale, softcap, sinks)
    elif tokens == 1:
        # The heads that share keys are like tokens that see the same.
        shared = query.reshape(1, -1, groups, width)
        result = scaled_dot_product_attention(shared, keys[None], values[None], scale=scale)
        result = result.reshape(heads, 1, -1)
    else:
        # ... and here like sequences with the same keys, which are not copied.
        split = query.reshape(-1, groups, tokens, width).transpose(0, 1)
        result = scaled_dot_product_attention(
            split,
            keys.expand(groups, -1, -1, -1),
            values.expand(groups, -1, -1, -1),
            attn_mask=mask,
            scale=scale,
        )
        result = result.transpose(0, 1).reshape(heads, tokens, -1)
    out.copy_(result.transpose(0, 1))


def _plain(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None,
    scale: float,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """[heads, n, value width], in f32 from the products on."""
    heads, tokens, width = query.shape
    split = query.reshape(keys.shape[0], -1, tokens, width)
    scores = (split @ keys[:, None].transpose(2, 3)).float() * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    length = scores.shape[-1]
    if sinks is not None:
        column = sinks.float().reshape(keys.shape[0], -1, 1, 1).expand(-1, -1, tokens, 1)
        scores = torch.cat([scores, column], dim=-1)
    weights = scores.softmax(dim=-1)[..., :length].to(values.dtype)
    return (weights @ values[:, None]).reshape(heads, tokens, -1)
