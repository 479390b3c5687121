"""Operators that compute number by number."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from nanoaccel.exporters.targets.onnx.operations.operation import TYPES, Write, Written
from nanoaccel.exporters.targets.onnx.source.trial import unsupported

_MICROSOFT = "com.microsoft"


def same(kind: str) -> Write:
    """An operator that ONNX has too.

    Args:
        kind: Its name there.
    """
    return lambda it: it.add(kind, it.inputs)


def swish(it: Written) -> ir.Value:
    """``x * sigmoid(beta * x)``; beta is 1 where it is not given."""
    x = it.inputs[0]
    factor = 1.0 if len(it.node.inputs) < 2 else it.constants.scalar(it.node.inputs[1])
    if factor is None:
        raise unsupported(f"the factor of {it.node.name} depends on tokens")
    if factor != 1:
        return it.out.writer.add("QuickGelu", [x], it.name, _MICROSOFT, alpha=factor)
    return it.add("Mul", [x, it.add("Sigmoid", [x], "/Sigmoid")])


def gelu(it: Written) -> ir.Value:
    """By the error function, or by tanh."""
    tanh = str(it.node.attributes.get("approximation_mode", "ERF")).upper() == "TANH"
    kind = "FastGelu" if tanh else "Gelu"
    return it.out.writer.add(kind, it.inputs, it.name, _MICROSOFT)


def clamp(it: Written) -> ir.Value:
    """Numbers within two limits."""
    attributes = it.node.attributes
    dtype = np.float32 if it.node.out.kind == "f32" else np.int64
    limits = []
    for limit in (attributes["min"], attributes["max"]):
        if dtype == np.float32:
            limit = float(
                np.clip(float(limit), -np.finfo(np.float32).max, np.finfo(np.float32).max)
            )
        limits.append(it.out.numbers(np.array(limit, dtype)))
    return it.add("Clip", [*it.inputs, *limits])


def convert(it: Written) -> ir.Value:
    """Numbers of another type."""
    kind = it.node.out.kind
    if kind not in TYPES:
        raise unsupported(f"it computes in {kind} ({it.node.name})")
    if kind == it.node.inputs[0].kind:
        return it.inputs[0]
    return it.add("Cast", it.inputs, to=int(TYPES[kind]))


def divide(it: Written) -> ir.Value:
    """Quotients; those of integers are rounded otherwise in ONNX where they are negative."""
    if it.node.out.kind not in ("f32", "f16"):
        raise unsupported(f"it divides integers ({it.node.name})")
    return it.add("Div", it.inputs)


def squared_difference(it: Written) -> ir.Value:
    """``(a - b)^2``."""
    apart = it.add("Sub", it.inputs, "/Sub")
    return it.add("Mul", [apart, apart])


def logical(kind: str) -> Write:
    """An operator of truth values, which OpenVINO calls by bits too.

    Args:
        kind: Its name in ONNX.
    """

    def write(it: Written) -> ir.Value:
        if it.node.out.kind != "boolean":
            raise unsupported(f"it computes with bits of integers ({it.node.name})")
        return it.add(kind, it.inputs)

    return write


def not_equal(it: Written) -> ir.Value:
    """Whether two numbers differ."""
    return it.add("Not", [it.add("Equal", it.inputs, "/Equal")])
