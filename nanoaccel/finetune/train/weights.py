"""The weights that learn: in f32 for the optimizer, in the model's own type for its passes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor, nn


@cache
def multiplies_bf16() -> bool:
    """Whether the CPU multiplies bf16 natively: twice as fast then, much slower otherwise."""
    known: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


class TrainedWeights:
    """What is trained of a model.

    A step of AdamW is often smaller than bf16 can add, so the optimizer has a copy in f32, which
    gradients are summed in too. Weights in f32 are their own copy.

    Args:
        model: A model; its parameters that require gradients are trained.
    """

    def __init__(self, model: nn.Module) -> None:
        self._own: dict[str, nn.Parameter] = {
            name: weight for name, weight in model.named_parameters() if weight.requires_grad
        }
        self.masters: dict[str, Tensor] = {
            name: weight if weight.dtype == torch.float32 else weight.detach().float()
            for name, weight in self._own.items()
        }

    @property
    def count(self) -> int:
        """Numbers that learn."""
        return sum(weight.numel() for weight in self._own.values())

    def collect(self) -> None:
        """Add the gradients of a pass to those of the step."""
        for name, weight in self._own.items():
            master = self.masters[name]
            if master is weight or weight.grad is None:
                continue
            if master.grad is None:
                master.grad = weight.grad.float()
            else:
                master.grad += weight.grad
            weight.grad = None

    def clear(self) -> None:
        """Forget all gradients."""
        for name, weight in self._own.items():
            weight.grad = self.masters[name].grad = None

    def publish(self) -> None:
        """Give the model what the optimizer made."""
        with torch.no_grad():
            for name, weight in self._own.items():
                if self.masters[name] is not weight:
                    weight.copy_(self.masters[name])

    def restore(self, values: Mapping[str, Tensor]) -> None:
        """Take over values from a checkpoint."""
        with torch.no_grad():
            for name, master in self.masters.items():
                master.copy_(values[name])
        self.publish()

    def values(self) -> dict[str, Tensor]:
        """The weights in f32, by name, as they are now."""
        return {name: master.detach() for name, master in self.masters.items()}
