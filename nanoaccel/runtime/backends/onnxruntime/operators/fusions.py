"""What stands around a quantized linear, and can be computed by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from nanoaccel.runtime.backends.onnxruntime.graph.model import (
    Model,
    Node,
    Tensor,
    float_attribute,
    integer_attribute,
)
from nanoaccel.runtime.backends.onnxruntime.operators.linear import (
    FLOAT,
    Input,
    is_linear,
    set_input,
)
from nanoaccel.runtime.backends.onnxruntime.operators.wiring import Wiring

Fusion: TypeAlias = Callable[[Model, list[Node]], None]

_NORM, _SKIP_NORM = "SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization"
_SKIP_SUM = 3  # which output of it is the sum that it normalizes
_EPSILON = 1e-5


def fuse_bias(model: Model, nodes: list[Node]) -> None:
    """Linear, then Add of one number for each output."""
    wiring = Wiring(model, nodes)
    for node in filter(is_linear, nodes):
        add = wiring.only_user(node.outputs[0])
        if add is None or add.kind != "Add" or node.input(Input.BIAS):
            continue
        (other,) = [name for name in add.inputs if name != node.outputs[0]] or [""]
        if model.initializers.get(other) == Tensor(FLOAT, (node.integer("N") or 0,)):
            set_input(node, Input.BIAS, other)
            node.outputs = list(add.outputs)
            _drop(add)


def fuse_swiglu(model: Model, nodes: list[Node]) -> None:
    """Linear, then Split into gate and up, then gate * sigmoid(gate) * up."""
    wiring = Wiring(model, nodes)
    for node in filter(is_linear, nodes):
        split = wiring.only_user(node.outputs[0])
        if split is None or split.kind != "Split" or len(split.outputs) != 2:
            continue
        if len(split.inputs) > 1 or split.integer("axis", 0) != -1 or (node.integer("N") or 0) % 2:
            continue
        found = _gated(split.outputs[0], split.outputs[1], wiring)
        if found is not None:
            node.attributes["swiglu"] = integer_attribute("swiglu", 1)
            node.outputs = list(found[-1].outputs)
            for gone in (split, *found):
                _drop(gone)


def _gated(gate: str, up: str, wiring: Wiring) -> list[Node] | None:
    """Sigmoid, its Mul with the gate, and the Mul with the up projection; None if it differs."""
    users = {node.kind: node for node in wiring.users(gate)}
    if users.keys() != {"Sigmoid", "Mul"} or wiring.is_output(gate):
        return None
    sigmoid, weighted = users["Sigmoid"], users["Mul"]
    if len(wiring.users(gate)) != 2 or wiring.only_user(sigmoid.outputs[0]) is not weighted:
        return None
    last = wiring.only_user(weighted.outputs[0])
    if last is None or last.kind != "Mul" or wiring.only_user(up) is not last:
        return None
    if {*weighted.inputs} != {gate, sigmoid.outputs[0]}:
        return None
    return [sigmoid, weighted, last] if {*last.inputs} == {weighted.outputs[0], up} else None


def fuse_residual(model: Model, nodes: list[Node]) -> None:
    """Linear, then a norm of its sum with something: the linear adds, the norm stands alone."""
    wiring = Wiring(model, nodes)
    for norm in nodes:
        if norm.kind != _SKIP_NORM or norm.input(3):
            continue
        for place in (1, 0):
            linear, other = wiring.maker(norm.input(place)), norm.input(1 - place)
            if linear is None or not is_linear(linear) or linear.input(Input.RESIDUAL):
                continue
            if wiring.only_user(norm.input(place)) is not norm:
                continue
            given = len(norm.outputs) > _SKIP_SUM and norm.outputs[_SKIP_SUM]
            total = given or f"{linear.outputs[0]}/residual"
            set_input(linear, Input.RESIDUAL, other)
            linear.outputs = [total]
            norm.kind, norm.domain = _NORM, ""
            norm.inputs, norm.outputs = [total, norm.input(2)], norm.outputs[:1]
            norm.attributes["axis"] = integer_attribute("axis", -1)
            break


def fuse_norm(model: Model, nodes: list[Node]) -> None:
    """An RMSNorm that only linears read, of all rows or of some that are gathered."""
    wiring = Wiring(model, nodes)
    for norm in nodes:
        if norm.kind != _NORM or len(norm.outputs) > 1 or norm.integer("axis", -1) != -1:
            continue
        result, weight = norm.outputs[0], norm.input(1)
        tensor = model.initializers.get(weight)
        users = wiring.users(result)
        linears = [one for user in users for one in _linears(user, result, wiring)]
        if tensor is None or tensor.type != FLOAT or wiring.is_output(result) or not linears:
            continue
        if any(not _takes_norm(node, tensor) for node in linears):
            continue
        epsilon = norm.real("epsilon", _EPSILON)
        for user in users:
            user.inputs[0] = norm.input(0)
        for node in linears:
            set_input(node, Input.NORM, weight)
            node.attributes["epsilon"] = float_attribute("epsilon", epsilon)
        _drop(norm)


def _linears(user: Node, name: str, wiring: Wiring) -> list[Node]:
    """The linears behind a user of a norm; the user itself where it is something else."""
    rows = user.kind == "Gather" and user.integer("axis", 0) == 1
    if not rows or user.inputs[0] != name or wiring.is_output(user.outputs[0]):
        return [user]
    return wiring.users(user.outputs[0]) or [user]


def _takes_norm(node: Node, weight: Tensor) -> bool:
    free = is_linear(node) and not node.input(Input.NORM)
    return free and weight.shape == (node.integer("K"),)


def _drop(node: Node) -> None:
    """Leave a node unconnected: it goes with the unused ones."""
    node.inputs, node.outputs = [], []


FUSIONS: tuple[Fusion, ...] = (fuse_bias, fuse_swiglu, fuse_residual, fuse_norm)
