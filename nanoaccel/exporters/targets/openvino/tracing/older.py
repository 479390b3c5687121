"""Parts of models that compute them by code of their own, as the operators that a graph holds.

Masks and biases of attention become those of its operator. Paged attention drops them, so the
engine is told of windows and slopes by ``bundle.architectures``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from nanoaccel.exporters.targets.openvino.tracing.caches import POSITIONS
from nanoaccel.exporters.targets.openvino.tracing.experts import compute_experts

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


@contextmanager
def replaced(model: PreTrainedModel) -> Iterator[None]:
    """While it lasts, such layers of a model compute with the operator."""
    changed = []
    for module in model.modules():
        for method, form in _FORMS.get(type(module).__name__, {}).items():
            setattr(module, method, partial(form, module))
            changed.append((module, method))
    try:
        yield
    finally:
        for module, method in changed:
            delattr(module, method)


def _gpt_neo(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor
) -> tuple[Tensor, None]:
    """``GPTNeoSelfAttention._attn``: scores without a scale, and windows in some layers."""
    new, total = query.shape[-2], key.shape[-2]
    near = module.bias[:, :, total - new : total, :total]
    seen = _seen(attention_mask) & near
    out = scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=1.0)
    return out, None


def _mpt(
    module: Any,
    hidden_states: Tensor,
    position_bias: Tensor,
    cache: Any,
    attention_mask: Tensor,
    **_: Any,
) -> tuple[Tensor, None]:
    """``MptAttention.forward``: ALiBi, for the longest text; its end is what a text needs."""
    batch, tokens, _width = hidden_states.shape
    mixed = module.Wqkv(hidden_states)
    if module.clip_qkv:
        mixed = mixed.clamp(min=-module.clip_qkv, max=module.clip_qkv)
    heads = (batch, tokens, module.n_heads, module.head_dim)
    query, key, value = (part.reshape(heads).transpose(1, 2) for part in mixed.chunk(3, dim=2))
    key, value = cache.update(key, value, module.layer_idx)
    bias = position_bias[None, :, :, position_bias.shape[2] - key.shape[2] :]
    seen = ~attention_mask  # which says whom a token does not see
    out = _biased(query, key, value, seen, bias, module.softmax_scale)
    return module.out_proj(out), None


def _bloom(
    module: Any,
    hidden_states: Tensor,
    residual: Tensor,
    alibi: Tensor,
    attention_mask: Tensor,
    layer_past: Any,
    **_: Any,
) -> tuple[Tensor, None]:
    """``BloomAttention.forward``: ALiBi, for the keys that there are."""
    query, key, value = module._reshape(module.query_key_value(hidden_states))
    key, value = layer_past.update(key, value, module.layer_idx)
    bias = alibi.reshape(query.shape[0], module.num_heads, 1, -1)
    out = _biased(query, key, value, _seen(attention_mask), bias, module.inv_norm_factor)
    return module.dense(out) + residual, None


def _biased(
    query: Tensor, key: Tensor, value: Tensor, seen: Tensor, bias: Tensor, scale: float
) -> Tensor:
    """Attention f32[B, T, H * D] whose scores have a bias."""
    mask = torch.where(seen, bias, torch.finfo(torch.float32).min)
    out = scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    return out.transpose(1, 2).flatten(2)


def _llama4(module: Any, hidden_states: Tensor) -> tuple[Tensor, Tensor]:
    """``Llama4TextMoe.forward``: the share of an expert scales what goes into it.

    Where a token has several experts, and so several inputs, all of them are computed.
    """
    if module.top_k != 1:
        found: tuple[Tensor, Tensor] = type(module).forward(module, hidden_states)
        return found
    tokens = hidden_states.reshape(-1, module.hidden_dim)
    logits = torch.nn.functional.linear(tokens, module.router.weight)
    value, index = torch.topk(logits, 1, dim=1)
    scaled = tokens * torch.sigmoid(value)
    routed = compute_experts(module.experts, scaled, index, torch.ones_like(value))
    return module.shared_expert(tokens) + routed, logits


def _llama4_attention(
    module: Any,
    hidden_states: Tensor,
    position_embeddings: Tensor,
    attention_mask: Tensor,
    cache: Any,
    **options: Any,
) -> tuple[Tensor, None]:
    """``Llama4TextAttention.forward``: a token's temperature is that of its own position.

    The model counts positions from the length of its cache, which texts of a batch do not share.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    positions = getattr(cache, POSITIONS, None)
    if module.use_rope or not module.attn_temperature_tuning or positions is None:
        found: tuple[Tensor, None] = type(module).forward(
            module, hidden_states, position_embeddings, attention_mask, cache, **options
        )
        return found
    sizes = (*hidden_states.shape[:-1], -1, module.head_dim)
    linears = (module.q_proj, module.k_proj, module.v_proj)
    query, key, value = (one(hidden_states).view(sizes).transpose(1, 2) for one in linears)
    steps = torch.floor((positions.float() + 1.0) / module.floor_scale)
    query = query * (torch.log1p(steps) * module.attn_scale + 1.0)[:, None, :, None]
    key, value = cache.update(key, value, module.layer_idx)
    attend = ALL_ATTENTION_FUNCTIONS[module.config._attn_implementation]
    out, _ = attend(module, query, key, value, attention_mask, scaling=module.scaling)
    return module.o_proj(out.flatten(2)), None


def _seen(mask: Tensor) -> Tensor:
    """Who sees whom, bool[B, 1, T, S]; masks of eager attention are added to scores."""
    return mask if mask.dtype == torch.bool else mask >= 0


_FORMS: Mapping[str, Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "GPTNeoSelfAttention": {"_attn": _gpt_neo},
        "MptAttention": {"forward": _mpt},
        "BloomAttention": {"forward": _bloom},
        "Llama4TextMoe": {"forward": _llama4},
        "Llama4TextAttention": {"forward": _llama4_attention},
    }
)
