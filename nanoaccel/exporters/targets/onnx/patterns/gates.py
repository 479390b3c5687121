"""How much of a recurrent state is kept: exp(decay * clamp(softplus(raw + bias)))."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.patterns.heads import before_reshapes
from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import Node, Value

_FAR = 15.0  # from here on softplus(x) is x in f32


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Steps of time: one of each head, or more.

    Args:
        raw: f32 [1, T, steps], what they are made of.
        bias: f32 [steps], added to ``raw``.
        limits: The least and the greatest step.
    """

    raw: Value
    bias: NDArray[np.float32]
    limits: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """The exponent.

    Args:
        step: The value that is a step.
        made: How that is made.
        decay: f32 [heads], what a step is multiplied with.
    """

    step: Value
    made: Step
    decay: NDArray[np.float32]


def find_gate(exponent: Value, constants: Constants) -> Gate | None:
    """How an exponent f32 [1, T, heads] is made; None when that is in another way.

    Args:
        exponent: The value; with more axes a head has a step for each of several numbers.
        constants: Numbers of the graph.
    """
    product = _with_constant(exponent, "Multiply", constants)
    if product is None:
        return None
    step, decay = product
    made = find_step(step, constants)
    if made is None or len(made.bias) % len(decay):
        return None
    return Gate(step, made, decay)


def find_step(value: Value, constants: Constants) -> Step | None:
    """How steps are made, f32 [1, T, steps] or [1, T, heads, steps of each]; None for others."""
    value, limits = before_reshapes(value), (0.0, math.inf)
    if value.node.kind == "Clamp":
        attributes = value.node.attributes
        limits = (float(attributes["min"]), float(attributes["max"]))
        value = before_reshapes(value.node.inputs[0])
    inner = _of_softplus(value.node, constants)
    if inner is None:
        return None
    raw = _flat(inner)
    total = _with_constant(raw, "Add", constants)
    steps = raw.shape[-1]
    if not isinstance(steps, int) or len(raw.shape) != 3:
        return None
    raw, bias = (raw, np.zeros(steps, np.float32)) if total is None else total
    if len(bias) != steps or raw.shape[-1] != steps:
        return None
    return Step(raw, bias, limits)


def _of_softplus(node: Node, constants: Constants) -> Value | None:
    """What a softplus is of, also where large numbers are left as they are; None for others."""
    if node.kind == "Select":
        condition, large, small = node.inputs
        least = constants.scalar(condition.node.inputs[1])
        if condition.node.kind != "Greater" or condition.node.inputs[0] is not large:
            return None
        if small.node.kind != "SoftPlus" or small.node.inputs[0] is not large:
            return None
        return large if least is not None and least >= _FAR else None
    return before_reshapes(node.inputs[0]) if node.kind == "SoftPlus" else None


def _flat(value: Value) -> Value:
    """Steps [1, T, steps] before they were put apart by heads."""
    value = before_reshapes(value)
    if len(value.shape) == 4 and value.node.kind == "Reshape":
        inner = value.node.inputs[0]
        width = [size for size in value.shape[2:] if isinstance(size, int)]
        if inner.shape == (*value.shape[:2], math.prod(width)) and len(width) == 2:
            return before_reshapes(inner)
    return value


def _with_constant(
    value: Value, kind: str, constants: Constants
) -> tuple[Value, NDArray[np.float32]] | None:
    """What a node computes with stored numbers, and these; None where it is another node."""
    node = before_reshapes(value).node
    if node.kind != kind:
        return None
    for other, stored in (node.inputs, node.inputs[::-1]):
        if stored.node.constant:
            return other, constants.array(stored).astype(np.float32).ravel()
    return None
