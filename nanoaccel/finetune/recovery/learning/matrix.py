"""A matrix of 4-bit codes that learns: its codes, its scales and its zero points.

    weight = (clamp(round(code + shift)) - round(zero)) * scale * gain

Gradients pass through what rounds as if it did not (Bengio et al. 2013, https://arxiv.org/abs/
1308.3432). Codes go a step of one size against the sign of their gradient, as AutoRound's do (Cheng
et al. 2023, https://arxiv.org/abs/2309.05516), which needs no memory of earlier steps; scales and
zero points have an optimizer, as EfficientQAT's (Chen et al. 2024, https://arxiv.org/abs/2407.11062).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from nanoaccel.exporters.targets.onnx.stored import StoredWeight

_LAST = 15  # of the codes
_HALF = 0.49  # a little less, so that it rounds to where it began


class LearnedMatrix:
    """One matrix, [O, I].

    Args:
        stored: As the bundle has it, in codes of 4 bits.
        dtype: Type that products are computed in.
        original: The original's matrix [O, I], as the bundle's would be without rounding; the
            shadows of codes begin where it lies between them. None begins at the codes.

    Attributes:
        gain: Factor of each scale, f32 [O, G, 1]; its gradient is set by ``learn``.
        zero: Zero point of each group in units of codes, f32 [O, G, 1]; likewise.
        rate: Size of a step of the codes, in units of codes.
    """

    def __init__(
        self, stored: StoredWeight, dtype: torch.dtype, original: Tensor | None = None
    ) -> None:
        assert stored.scales is not None
        self._stored, self._dtype = stored, dtype
        octets = stored.values
        codes = np.stack([octets & 15, octets >> 4], -1).reshape(stored.rows, stored.groups, -1)
        self._codes = torch.from_numpy(codes)
        self._shift = torch.zeros(codes.shape, dtype=torch.float16)
        self._scales = torch.from_numpy(stored.scales.astype(np.float32))[..., None]
        self._kind = torch.from_numpy(np.empty(0, stored.scales.dtype)).dtype
        middle = np.full(stored.scales.shape, 8, np.uint8)
        zeros = middle if stored.zero_points is None else stored.zero_points
        self.gain = nn.Parameter(torch.ones_like(self._scales))
        self.zero = nn.Parameter(torch.from_numpy(zeros.astype(np.float32))[..., None])
        self.rate = 0.0
        if original is not None:
            self._begin_at(original)

    @property
    def learns_zeros(self) -> bool:
        """Whether it has zero points that can change."""
        return self._stored.zero_points is not None

    def scale(self) -> Tensor:
        """Scales as they are stored, in f32."""
        return (self._scales * self.gain.detach()).to(self._kind).float()

    def steps(self) -> Tensor:
        """Codes minus zero points, f32 [O, G, I/G]."""
        found = self._shift.float().add_(self._codes).round_().clamp_(0, _LAST)
        return found.sub_(self._zeros())

    def weight(self) -> tuple[Tensor, Tensor]:
        """The matrix [O, I] in the type of products, and its steps as i8."""
        steps = self.steps()
        kept = steps.to(torch.int8)
        return steps.mul_(self.scale()).to(self._dtype).flatten(1), kept

    def learn(self, slope: Tensor, steps: Tensor) -> None:
        """Take a step with the codes, and set the gradients of all else.

        Args:
            slope: Gradient of the weights, [O, I]; it is used up.
            steps: What ``weight`` gave when these were used.
        """
        slope = slope.float().view(steps.shape)
        scale = self.scale()
        _add_grad(self.gain, (slope * steps).sum(-1, keepdim=True) * self._scales)
        if self.learns_zeros:
            _add_grad(self.zero, -slope.sum(-1, keepdim=True) * scale)
        if self.rate > 0:
            move = slope.sign_().mul_(scale.sign_().mul_(-self.rate))
            self._shift.add_(move.half()).clamp_(-1, 1)

    def stored(self) -> StoredWeight:
        """The matrix as a bundle stores it, in the form that it was read in."""
        with torch.no_grad():
            codes = self.steps().add_(self._zeros()).to(torch.uint8).flatten(1).numpy()
            scales = (self._scales * self.gain)[..., 0].to(self._kind).numpy()
            zeros = self._zeros()[..., 0].to(torch.uint8).numpy()
        raw = codes[:, ::2] | codes[:, 1::2] << np.uint8(4)
        return replace(
            self._stored,
            raw=raw ^ np.uint8(self._stored.sign),
            scales=scales,
            zero_points=zeros if self.learns_zeros else None,
        )

    def _begin_at(self, original: Tensor) -> None:
        """Put shadows where the original lies, as far as they round to the code that is stored."""
        exact = original.float().reshape(self._codes.shape) / self._scales + self._zeros()
        shift = exact.sub_(self._codes).nan_to_num_(0.0).clamp_(-_HALF, _HALF)
        self._shift.copy_(shift)

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
        order, factor = matrix._stored.permutation, matrix._stored.input_scale
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
