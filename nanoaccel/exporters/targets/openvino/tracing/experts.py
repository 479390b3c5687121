"""A mixture of experts as a graph holds it: products over all experts, and a routing.

The form is that of OpenVINO's pass ConvertTiledMoeBlockToGatherMatmuls: gate, up and down as
products of their own, or gate and up as one with a bias, and shares that a scatter spreads over all
experts. Its CPU plugin for x86-64 then reads the weights of chosen experts alone; where the gate is
another one, and on other CPUs, all experts are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

NAME = "nanoaccel_traced"
# Experts of which transformers does not say that their weights are [in, out].
_TURNED = ("Llama4TextExperts",)


def _define_product() -> None:
    """Tell torch of the product: for the tracer, which knows sizes alone."""
    name = "nanoaccel::expert_product"

    def empty(x: Tensor, weight: Tensor, turned: bool, part: int, parts: int) -> Tensor:  # noqa: ARG001
        rows = weight.shape[2 if turned else 1] // parts
        return torch.zeros(x.shape[0], x.shape[1], rows)

    arguments = "Tensor x, Tensor weight, bool turned, int part, int parts"
    torch.library.define(name, f"({arguments}) -> Tensor")
    torch.library.impl(name, "default", empty)


_define_product()


@contextmanager
def replaced(model: PreTrainedModel) -> Iterator[None]:
    """While it lasts, all experts of a model are computed here.

    Their configs say so, not the model, which may be one of ours around a decoder of transformers.
    """
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

    ALL_EXPERTS_FUNCTIONS.register(NAME, compute_experts)
    configs = {id(one.config): one.config for one in model.modules() if hasattr(one, "has_gate")}
    before = [config._experts_implementation for config in configs.values()]
    for config in configs.values():
        config._experts_implementation = NAME
    try:
        yield
    finally:
        for config, name in zip(configs.values(), before, strict=True):
            config._experts_implementation = name


def is_computed(module: torch.nn.Module) -> bool:
    """Whether ``compute_experts`` computes a module."""
    told = hasattr(module, "has_gate") and hasattr(module, "is_transposed")
    return told or type(module).__name__ in _TURNED


@dataclass(frozen=True, slots=True)
class Product:
    """A product with matrices of all experts.

    Args:
        name: What its matrices are called.
        stored: The weight of the module that they are in.
        part: Which part of its rows they are.
        parts: How many parts it has.
    """

    name: str
    stored: str
    part: int = 0
    parts: int = 1

    def shape(self, module: Any) -> tuple[int, int, int]:
        """Experts, outputs and inputs."""
        experts, rows, columns = getattr(module, self.stored).shape
        if _is_turned(module):
            rows, columns = columns, rows
        return experts, rows // self.parts, columns


def products_of(module: Any) -> list[Product]:
    """The products of a module that ``compute_experts`` computes, that behind the gate last."""
    from transformers.integrations.moe import _default_apply_gate

    first = [Product("gate_up_proj", "gate_up_proj")]
    if not getattr(module, "has_gate", True):
        first = [Product("up_proj", "up_proj")]
    elif _apply_gate_of(module) is _default_apply_gate and not _has_bias(module):
        names = ("gate_proj", "up_proj")
        first = [Product(name, "gate_up_proj", part, 2) for part, name in enumerate(names)]
    return [*first, Product("down_proj", "down_proj")]


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
    *first, down = products_of(module)
    inner = _gated(module, [_product(module, everyone, one) for one in first])
    out = _product(module, inner, down)
    norm = getattr(module, "post_expert_norm", None)
    if norm is not None:
        out = norm(out)
    # A first axis of one sequence: a reshape to the sizes that there are would be left out.
    shares = routing.transpose(0, 1).reshape(count, 1, -1)[..., None]
    return (out.view(count, 1, -1, width) * shares).sum(dim=0).view(-1, width)


def _gated(module: Any, first: list[Tensor]) -> Tensor:
    """What goes into the last product, [E, T, I]."""
    if not getattr(module, "has_gate", True):
        return module.act_fn(first[0])
    if len(first) == 1:
        return module._apply_gate(first[0])
    gate, up = first
    return module.act_fn(gate) * up


def _product(module: Any, x: Tensor, product: Product) -> Tensor:
    """A product, and the bias."""
    weight = getattr(module, product.stored)
    turned, part, parts = _is_turned(module), product.part, product.parts
    out: Tensor = torch.ops.nanoaccel.expert_product(x, weight, turned, part, parts)
    return out + getattr(module, f"{product.stored}_bias")[:, None] if _has_bias(module) else out


def _apply_gate_of(module: Any) -> Callable[..., Tensor]:
    from transformers.integrations.moe import _default_apply_gate

    found: Callable[..., Tensor] = getattr(type(module), "_apply_gate", _default_apply_gate)
    return found


def _is_turned(module: Any) -> bool:
    return bool(getattr(module, "is_transposed", type(module).__name__ in _TURNED))


def _has_bias(module: Any) -> bool:
    return bool(getattr(module, "has_bias", False))
