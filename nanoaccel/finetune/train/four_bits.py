"""The base of a QLoRA training: its linear layers in 4 bits, made floats again in each pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_GROUPS = (64, 32, 16)  # numbers that have a scale and a zero point in common
_MOST = 15


class FourBitLinear(nn.Linear):  # type: ignore[misc]
    """A linear layer that is not trained, in 4 bits: the form in which bundles hold weights.

    Half a row's integers are the low half of its bytes, the other half the high one. The backward
    pass unpacks them once more, so no float weights wait for it.

    Args:
        layer: The layer; its weights are not changed.
        group: Numbers of a row that have a scale and a zero point in common.
    """

    def __init__(self, layer: nn.Linear, group: int) -> None:
        nn.Module.__init__(self)  # without a weight
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bias = layer.bias
        self._group = group
        groups = layer.weight.detach().float().unflatten(1, (-1, group))
        low = groups.amin(-1, keepdim=True).clamp(max=0)
        high = groups.amax(-1, keepdim=True).clamp(min=0)
        scale = ((high - low) / _MOST).to(layer.weight.dtype).float()
        scale = torch.where(scale > 0, scale, 1.0)
        zero = (-low / scale).round().clamp(0, _MOST)
        numbers = (groups / scale + zero).round().clamp(0, _MOST).to(torch.uint8).flatten(1)
        left, right = numbers.chunk(2, dim=1)
        self.register_buffer("packed", left | (right << 4))
        self.register_buffer("scale", scale.to(layer.weight.dtype))
        self.register_buffer("zero", zero.to(layer.weight.dtype))

    @property
    def weight(self) -> Tensor:
        """The weights as floats, [O, I], made anew."""
        found = torch.empty((self.out_features, 2, self.in_features // 2), dtype=self.scale.dtype)
        found[:, 0].copy_(self.packed & 15)
        found[:, 1].copy_(self.packed >> 4)
        grouped = found.view(self.out_features, -1, self._group)
        return grouped.sub_(self.zero).mul_(self.scale).view(self.out_features, -1)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] to [..., O]."""
        found: Tensor = _Product.apply(x, self)
        return found if self.bias is None else found + self.bias


class _Product(torch.autograd.Function):  # type: ignore[misc]
    """A product with weights that are unpacked for it, and again for its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: FourBitLinear) -> Tensor:
        ctx.layer = layer
        found: Tensor = linear(x, layer.weight)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient @ ctx.layer.weight, None


def to_four_bits(model: PreTrainedModel) -> None:
    """Keep the linear layers of a model in 4 bits, in place, one after the other.

    The last layer stays as it is, and so do those whose rows are not whole groups.

    Args:
        model: In the type that it computes with.
    """
    last = model.get_output_embeddings()
    found = [name for name, one in model.named_modules() if type(one) is nn.Linear]
    for name in found:
        layer = model.get_submodule(name)
        group = next((size for size in _GROUPS if layer.in_features % size == 0), None)
        if layer is not last and group is not None:
            model.set_submodule(name, FourBitLinear(layer, group))
