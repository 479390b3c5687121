"""A mixture of experts as it was found in a graph: its linears, its gate, its routing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.stored import Array, StoredWeight


class Activation(IntEnum):
    """What becomes of gates, as nanoaccel.Experts numbers it."""

    SILU = 1
    GELU = 2
    TANH_GELU = 3
    RELU = 5
    SQUARED_RELU = 6

    def compute(self, x: NDArray[np.float32], alpha: float) -> NDArray[np.float32]:
        """Activated numbers; ``alpha`` is a factor of what SiLU takes the sigmoid of."""
        if self is Activation.GELU:
            area = np.vectorize(math.erf, otypes=[np.float32])(x * math.sqrt(0.5))
            return np.asarray(np.float32(0.5) * x * (1 + area), np.float32)
        if self in (Activation.RELU, Activation.SQUARED_RELU):
            positive: NDArray[np.float32] = np.maximum(x, np.float32(0))
            return positive if self is Activation.RELU else positive * positive
        inner = np.float32(alpha) * x
        if self is Activation.TANH_GELU:
            inner = np.float32(2 * math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x**3)
        with np.errstate(over="ignore"):
            found: NDArray[np.float32] = x / (1 + np.exp(-inner))
        return found


@dataclass(frozen=True, slots=True)
class Gate:
    """What becomes of the first product: ``activated(g) * (u + beta)``, or ``activated(g)`` alone.

    Args:
        in_turns: Whether gates and up projections take turns, or gates come first.
        alpha: Of SiLU: ``g * sigmoid(alpha * g)``.
        beta: See above.
        limit: What g is at most, and u within.
        activation: What becomes of g.
        gated: Whether there are up projections.
    """

    in_turns: bool
    alpha: float
    beta: float
    limit: float
    activation: Activation = Activation.SILU
    gated: bool = True

    def compute(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The gate of numbers [..., 2 * inner], or [..., inner] without up projections."""
        if not self.gated:
            return self.activation.compute(x, self.alpha)
        half = x.shape[-1] // 2
        g, u = (x[..., ::2], x[..., 1::2]) if self.in_turns else (x[..., :half], x[..., half:])
        g, u = np.minimum(g, self.limit), np.clip(u, -self.limit, self.limit)
        return self.activation.compute(g, self.alpha) * (u + self.beta)


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """One linear of all experts.

    Args:
        weights: Rows of all experts, [experts * rows, in].
        rows: Rows of one.
        bias: f32 [experts, rows]; None without.
    """

    weights: StoredWeight
    rows: int
    bias: NDArray[np.float32] | None

    @property
    def experts(self) -> int:
        """How many."""
        return self.weights.rows // self.rows


@dataclass(frozen=True, slots=True)
class Routing:
    """What tells how much experts count.

    Args:
        count: Experts that are chosen.
        logits: Whether it is logits, of which the largest are chosen, or shares.
    """

    count: int
    logits: bool


@dataclass(frozen=True, slots=True, eq=False)
class ExpertsNode:
    """A mixture of experts.

    Args:
        name: Name of its node.
        first: The linear in front of the gate; or two, of gates and of up projections.
        down: The linear behind it.
        gate: What stands between them.
        routing: How experts are chosen.
    """

    name: str
    first: tuple[Stack, ...]
    down: Stack
    gate: Gate
    routing: Routing

    @property
    def linears(self) -> Mapping[str, ExpertLinear]:
        """Both linears, as they are stored."""
        in_turns = not self.gate.gated or (self.gate.in_turns and len(self.first) == 1)
        return {
            "gate_up": ExpertLinear(self.first, in_turns),
            "down": ExpertLinear((self.down,), True),
        }


@dataclass(frozen=True, slots=True, eq=False)
class ExpertLinear:
    """A linear of all experts.

    Args:
        parts: One stack; or two, whose rows are stored in turns.
        in_turns: Whether rows of the one stack are as they are wanted.
    """

    parts: tuple[Stack, ...]
    in_turns: bool

    @property
    def experts(self) -> int:
        return self.parts[0].experts

    @property
    def rows(self) -> int:
        """Rows of an expert."""
        return sum(part.rows for part in self.parts)

    @property
    def columns(self) -> int:
        return self.parts[0].weights.columns

    @property
    def bias(self) -> NDArray[np.float32] | None:
        """Of each expert, [experts, rows]; None where it only adds zeros."""
        given = [part.bias for part in self.parts]
        if not any(bias is not None and bias.any() for bias in given):
            return None
        found = [
            np.zeros((part.experts, part.rows), np.float32) if bias is None else bias
            for part, bias in zip(self.parts, given, strict=True)
        ]
        return np.ascontiguousarray(self.arrange(found)[..., 0])

    def made(self, make: Callable[[StoredWeight], Array]) -> Array:
        """What is made of the weights of each part, as ``arrange`` has it."""
        return self.arrange([make(part.weights) for part in self.parts])

    def arrange(self, parts: Sequence[Array]) -> Array:
        """Rows of each expert, [experts, rows, ...], gates and up projections in turns."""
        first, *more = (
            part.reshape(self.experts, -1, part.size // (self.experts * own.rows))
            for part, own in zip(parts, self.parts, strict=True)
        )
        if self.in_turns:
            return first
        half = self.rows // 2
        pair = [first, *more] if more else [first[:, :half], first[:, half:]]
        return np.stack(pair, axis=2).reshape(self.experts, self.rows, -1)
