"""A mixture of experts as a graph holds it: three products over all experts, and a routing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

NAME = "nanoaccel_traced"


def register() -> None:
    """Tell transformers of the experts."""
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

    ALL_EXPERTS_FUNCTIONS.register(NAME, compute_experts)


def compute_experts(
    module: Any, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor
) -> Tensor:
    """Experts as transformers calls them.

    Args:
        module: The experts, whose weights are 3-D.
        hidden_states: f32[T, H].
        top_k_index: i64[T, K], the chosen experts.
        top_k_weights: f32[T, K], what each of them counts.

    Returns:
        f32[T, H].
    """
    width = hidden_states.shape[-1]
    tokens = hidden_states.reshape(-1, width)
    count = module.num_experts
    routing = torch.zeros(tokens.shape[0], count, dtype=top_k_weights.dtype)
    # An index beyond the last expert stands for none.
    routing = routing.scatter(1, top_k_index.clamp(max=count - 1), top_k_weights)
    everyone = tokens.repeat(count, 1).view(count, -1, width)
    gated = getattr(module, "has_gate", True)
    first = _product(module, everyone, "gate_up_proj" if gated else "up_proj")
    inner = module._apply_gate(first) if gated else module.act_fn(first)
    out = _product(module, inner, "down_proj")
    norm = getattr(module, "post_expert_norm", None)
    if norm is not None:
        out = norm(out)
    return (out * routing.transpose(0, 1)[..., None]).sum(dim=0)


def _product(module: Any, x: Tensor, name: str) -> Tensor:
    weight = getattr(module, name)
    if not getattr(module, "is_transposed", False):
        weight = weight.transpose(1, 2)
    out = torch.bmm(x, weight)
    bias = getattr(module, f"{name}_bias", None) if getattr(module, "has_bias", False) else None
    return out if bias is None else out + bias[:, None]
