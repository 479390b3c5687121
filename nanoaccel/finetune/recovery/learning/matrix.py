"""A matrix of 4-bit codes whose scales and zero points learn.

    weight = (code - round(zero)) * scale * gain

Codes stay, as in mlx-lm's DWQ. Gradients pass through the rounding of zero points as if there were
none (Bengio et al. 2013, https://arxiv.org/abs/1308.3432), as in EfficientQAT (Chen et al. 2024,
https://arxiv.org/abs/2407.11062).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from nanoaccel.exporters.targets.onnx.stored import StoredWeight

_MIDDLE, _LAST = 8, 15  # of the codes


class LearnedMatrix:
    """One matrix, [O, I].

    Args:
        stored: As the bundle has it, in codes of 4 bits.
        dtype: Type that products are computed in.

    Attributes:
        stored_as: What the bundle has.
        gain: Factor of each scale, f32 [O, G, 1]; its gradient is set by ``learn``.
        zero: Zero point of each group in units of codes, f32 [O, G, 1]; likewise.
    """

    def __init__(self, stored: StoredWeight, dtype: torch.dtype) -> None:
        assert stored.scales is not None
        self.stored_as, self._dtype = stored, dtype
        octets = stored.values
        codes = np.stack([octets & 15, octets >> 4], -1).reshape(stored.rows, stored.groups, -1)
        self._codes = torch.from_numpy(codes)
        self._scales = torch.from_numpy(stored.scales.astype(np.float32))[..., None]
        self._kind = torch.from_numpy(np.empty(0, stored.scales.dtype)).dtype
        middle = np.full(stored.scales.shape, _MIDDLE, np.uint8)
        zeros = middle if stored.zero_points is None else stored.zero_points
        self.gain = nn.Parameter(torch.ones_like(self._scales))
        self.zero = nn.Parameter(torch.from_numpy(zeros.astype(np.float32))[..., None])

    @property
    def learns_zeros(self) -> bool:
        """Whether it has zero points that can change."""
        return self.stored_as.zero_points is not None

    def scale(self) -> Tensor:
        """Scales as they are stored, in f32."""
        return (self._scales * self.gain.detach()).to(self._kind).float()

    def weight(self) -> tuple[Tensor, Tensor]:
        """The matrix [O, I] in the type of products, and its codes minus zero points, i8."""
        steps = self._codes.to(torch.int8).sub_(self._zeros().to(torch.int8))
        return (steps * self.scale()).to(self._dtype).flatten(1), steps

    def learn(self, slope: Tensor, steps: Tensor) -> None:
        """Add to the gradients.

        Args:
            slope: Gradient of the weights, [O, I].
            steps: What ``weight`` gave when these were used.
        """
        slope = slope.float().view(steps.shape)
        _add_grad(self.gain, (slope * steps).sum(-1, keepdim=True) * self._scales)
        if self.learns_zeros:
            _add_grad(self.zero, -slope.sum(-1, keepdim=True) * self.scale())

    def stored(self) -> StoredWeight:
        """The matrix as a bundle stores it, in the form that it was read in."""
        scales = (self._scales * self.gain.detach())[..., 0].to(self._kind).numpy()
        zeros = self._zeros()[..., 0].to(torch.uint8).numpy() if self.learns_zeros else None
        return replace(self.stored_as, scales=scales, zero_points=zeros)

    def _zeros(self) -> Tensor:
        return self.zero.detach().round().clamp_(0, _LAST)


class LearnedLinear(nn.Module):  # type: ignore[misc]
    """In the place of a projection: multiplies with a matrix that learns.

    Args:
        matrix: The matrix.
        bias: Of the projection; it stays.
    """

    def __init__(self, matrix: LearnedMatrix, bias: Tensor | None) -> None:
        super().__init__()
        self.matrix = matrix
        self._bias = None if bias is None else bias.detach()
        order, factor = matrix.stored_as.permutation, matrix.stored_as.input_scale
        self._order = None if order is None else torch.from_numpy(order.copy())
        self._factor = None if factor is None else torch.from_numpy(factor.copy())

    def forward(self, x: Tensor) -> Tensor:
        if self._factor is not None:
            x = x * self._factor
        if self._order is not None:
            x = x[..., self._order]
        found: Tensor = _Product.apply(x, self.matrix.gain, self.matrix)
        return found if self._bias is None else found + self._bias


class FrozenLinear(nn.Module):  # type: ignore[misc]
    """In the place of a projection that does not learn.

    Args:
        weight: [O, I] in the type that products are computed in.
        bias: Of the projection.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        found = linear(x.to(self.weight.dtype), self.weight).to(x.dtype)
        return found if self.bias is None else found + self.bias


class _Product(torch.autograd.Function):  # type: ignore[misc]
    """The product with a matrix, which learns while gradients pass through it."""

    @staticmethod
    def forward(context: Any, x: Tensor, gain: Tensor, matrix: LearnedMatrix) -> Tensor:  # noqa: ARG004
        weight, steps = matrix.weight()
        narrow = x.to(weight.dtype)
        context.matrix = matrix
        context.save_for_backward(narrow, weight, steps)
        found: Tensor = linear(narrow, weight).to(x.dtype)
        return found

    @staticmethod
    def backward(context: Any, slope: Tensor) -> tuple[Tensor | None, None, None]:
        narrow, weight, steps = context.saved_tensors
        rows = slope.flatten(0, -2).to(weight.dtype)
        back = (rows @ weight).view(narrow.shape).to(slope.dtype)
        context.matrix.learn(rows.T @ narrow.flatten(0, -2), steps)
        return back, None, None


def _add_grad(parameter: nn.Parameter, slope: Tensor) -> None:
    parameter.grad = slope if parameter.grad is None else parameter.grad.add_(slope)
