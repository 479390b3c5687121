"""How much of a recurrent state is kept: exp(decay * clamp(softplus(raw + bias)))."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.patterns.heads import before_reshapes
from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import Value


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """The exponent.

    Args:
        raw: f32 [1, T, heads], what the step is made of.
        step: The same, positive and within limits.
        bias: f32 [heads], added to ``raw``.
        decay: f32 [heads], what a step is multiplied with.
        limits: The least and the greatest step.
    """

    raw: Value
    step: Value
    bias: NDArray[np.float32]
    decay: NDArray[np.float32]
    limits: tuple[float, float]


def find_gate(exponent: Value, constants: Constants) -> Gate | None:
    """How an exponent f32 [1, T, heads] is made; None when that is in another way."""
    product = _with_constant(exponent, "Multiply", constants)
    if product is None:
        return None
    step, decay = product
    value, limits = before_reshapes(step), (0.0, math.inf)
    if value.node.kind == "Clamp":
        attributes = value.node.attributes
        limits = (float(attributes["min"]), float(attributes["max"]))
        value = before_reshapes(value.node.inputs[0])
    if value.node.kind != "SoftPlus":
        return None
    raw = before_reshapes(value.node.inputs[0])
    total = _with_constant(raw, "Add", constants)
    heads = len(decay)
    raw, bias = (raw, np.zeros(heads, np.float32)) if total is None else total
    if len(bias) != heads or raw.shape[-1] != heads:
        return None
    return Gate(raw, step, bias, decay, limits)


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
