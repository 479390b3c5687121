"""Norms over the last axis, and the sums that they are taken of.

x * rsqrt(mean(x^2) + epsilon) * weight                   SimplifiedLayerNormalization
the same of x - mean(x), or MVN, then weight and bias     LayerNormalization
either one of a sum that others read too                  Skip...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.patterns.plan import Pattern, Plan
from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import Node, SourceGraph, Value

if TYPE_CHECKING:
    from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter

_SUM = 3  # output of Skip...LayerNormalization: the sum
_RANK = 3  # of what Skip...LayerNormalization takes
_TWO, _HALF = 2.0, -0.5


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """A norm.

    Args:
        source: What is normalized.
        result: What it gives.
        epsilon: What is added to the variance.
        centered: Whether the mean is subtracted.
        weight: f32 [width]; None is ones.
        bias: f32 [width]; None without one.
    """

    source: Value
    result: Value
    epsilon: float
    centered: bool = False
    weight: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None


def find_norms(graph: SourceGraph, plan: Plan, constants: Constants) -> None:
    """Find all norms.

    Args:
        graph: The graph.
        plan: Gets them; its products are known.
        constants: Numbers of the graph.
    """
    summed: set[Node] = set()
    for node in graph.of_kind("ReduceMean", "MVN"):
        norm = _square_norm(node, constants) if node.kind == "ReduceMean" else _variance_norm(node)
        if norm is None:
            continue
        norm = _with_parameters(norm, constants)
        total = norm.source.node
        if _is_sum(total) and total not in summed:
            summed.add(total)
            makes = [norm.result, total.out]
            plan.add(Pattern(total, total.inputs, makes, partial(_write_sum_norm, norm)))
        else:
            plan.add(
                Pattern(norm.result.node, [norm.source], [norm.result], partial(_write_norm, norm))
            )


def _is_sum(node: Node) -> bool:
    """Whether a node adds what one layer gives to what another one does."""
    if node.kind != "Add" or any(value.node.constant for value in node.inputs):
        return False
    shapes = {node.out.shape, *(value.shape for value in node.inputs)}
    return len(shapes) == 1 and len(node.out.shape) == _RANK


def _square_norm(mean: Node, constants: Constants) -> Norm | None:
    """A norm by the mean of squares."""
    squares = mean.inputs[0].node
    source = squares.inputs[0] if squares.inputs else None
    if source is None or not _is_last_axis(mean, constants):
        return None
    squared = (squares.kind == "Power" and constants.scalar(squares.inputs[1]) == _TWO) or (
        squares.kind == "Multiply" and squares.inputs[1] is source
    )
    added = mean.out.only_user()
    if not squared or added is None or added.kind != "Add":
        return None
    epsilon = _other_scalar(added, mean.out, constants)
    factor = _inverse_root(added.out, constants)
    if epsilon is None or factor is None:
        return None
    user = factor.only_user()
    if user is None or user.kind not in ("Multiply", "Divide") or source not in user.inputs:
        return None
    if user.kind == "Divide" and (user.inputs[0] is not source or factor.node.kind != "Sqrt"):
        return None
    if user.kind == "Multiply" and factor.node.kind == "Sqrt":
        return None
    norm = Norm(source, user.out, epsilon)
    inner = source.node
    if inner.kind == "Subtract" and _is_mean_of(inner.inputs[1], inner.inputs[0], constants):
        return replace(norm, source=inner.inputs[0], centered=True)
    return norm


def _is_mean_of(value: Value, source: Value, constants: Constants) -> bool:
    node = value.node
    return node.kind == "ReduceMean" and node.inputs[0] is source and _is_last_axis(node, constants)


def _is_last_axis(node: Node, constants: Constants) -> bool:
    axes = constants.integers(node.inputs[1])
    return axes is not None and axes in ([-1], [len(node.inputs[0].shape) - 1])


def _inverse_root(value: Value, constants: Constants) -> Value | None:
    """What the source is multiplied with, or (a Sqrt) divided by."""
    node = value.only_user()
    if node is None:
        return None
    if node.kind == "Power":
        return node.out if constants.scalar(node.inputs[1]) == _HALF else None
    if node.kind != "Sqrt":
        return None
    user = node.out.only_user()
    if user is not None and user.kind == "Divide" and user.inputs[1] is node.out:
        return user.out if constants.scalar(user.inputs[0]) == 1 else node.out
    if user is not None and user.kind == "Power":
        return user.out if constants.scalar(user.inputs[1]) == -1 else None
    return None


def _variance_norm(node: Node) -> Norm | None:
    attributes = node.attributes
    rank = len(node.out.shape)
    axes = node.inputs[1].node
    last = axes.constant and axes.origin.data.ravel().tolist() in ([-1], [rank - 1])
    inside = str(attributes["eps_mode"]).lower() == "inside_sqrt"
    if not last or not inside or not attributes["normalize_variance"]:
        return None
    return Norm(node.inputs[0], node.out, float(attributes["eps"]), centered=True)


def _with_parameters(norm: Norm, constants: Constants) -> Norm:
    """With the weights and the bias behind it."""
    found = _vector_behind(norm.result, "Multiply", constants)
    if found is not None:
        norm = replace(norm, weight=found[0], result=found[1])
    if norm.centered:
        found = _vector_behind(norm.result, "Add", constants)
        if found is not None:
            norm = replace(norm, bias=found[0], result=found[1])
    return norm


def _vector_behind(
    value: Value, kind: str, constants: Constants
) -> tuple[NDArray[np.float32], Value] | None:
    """Numbers for each of the last axis that a value is multiplied with, and the result."""
    user = value.only_user()
    if user is None or user.kind != kind:
        return None
    (other,) = [one for one in user.inputs if one is not value] or [value]
    width = value.shape[-1]
    if not other.node.constant or not isinstance(width, int):
        return None
    if other.shape[-1:] != (width,) or any(size != 1 for size in other.shape[:-1]):
        return None
    return constants.array(other).astype(np.float32).ravel(), user.out


def _other_scalar(node: Node, value: Value, constants: Constants) -> float | None:
    for other in node.inputs:
        if other is not value:
            return constants.scalar(other)
    return None


def _write_norm(norm: Norm, out: PackedWriter, values: Sequence[ir.Value]) -> Sequence[ir.Value]:
    kind = "LayerNormalization" if norm.centered else "SimplifiedLayerNormalization"
    name = out.name_of(norm.result.node)
    parameters = _parameters(norm, out)
    return [
        out.writer.add(
            kind, [values[0], *parameters], f"{name}/LayerNorm", axis=-1, epsilon=norm.epsilon
        )
    ]


def _write_sum_norm(
    norm: Norm, out: PackedWriter, values: Sequence[ir.Value]
) -> Sequence[ir.Value]:
    kind = "SkipLayerNormalization" if norm.centered else "SkipSimplifiedLayerNormalization"
    name = f"{out.name_of(norm.result.node)}/SkipLayerNorm"
    made = out.node(
        kind,
        [*values, *_parameters(norm, out)],
        name,
        outputs=_SUM + 1,
        kept=(0, _SUM),
        epsilon=norm.epsilon,
    )
    return [made[0], made[_SUM]]


def _parameters(norm: Norm, out: PackedWriter) -> list[ir.Value]:
    width = norm.source.shape[-1]
    assert isinstance(width, int)
    weight = np.ones(width, np.float32) if norm.weight is None else norm.weight
    found = [out.numbers(weight)]
    return found if norm.bias is None else [*found, out.numbers(norm.bias)]
