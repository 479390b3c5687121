"""Norms in front of a linear or of attention, and the sums that they are taken of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nanoaccel.runtime.backends.onnxruntime.graph.model import (
    Model,
    Node,
    Tensor,
    float_attribute,
    integer_attribute,
)
from nanoaccel.runtime.backends.onnxruntime.operators.linear import (
    FLOAT,
    FLOAT_LINEAR,
    LINEAR,
    Input,
    is_linear,
    set_input,
)
from nanoaccel.runtime.backends.onnxruntime.operators.wiring import Wiring, disconnect

_NORMS = ("SimplifiedLayerNormalization", "LayerNormalization")
_OF_HEADS, _CENTERED = _NORMS
# Nodes that give numbers of all heads side by side.
_FLAT = frozenset({"Split", "MatMul", "MatMulNBits", "MatMulBnb4", "Gemm", LINEAR, FLOAT_LINEAR})
_SKIP_SUM = 3  # which output of a norm of a sum is the sum
NORM_EPSILON, _SKIP_EPSILON = 1e-5, 1e-12  # of a norm that names none


@dataclass(frozen=True, slots=True)
class _SkipNorm:
    """A norm of a sum.

    Args:
        alone: The norm that takes one input.
        bias: Input that is added to the sum before the norm.
        parameters: Inputs that the norm alone has too.
    """

    alone: str
    bias: int
    parameters: tuple[int, ...]


_SKIP_NORMS: Mapping[str, _SkipNorm] = {
    "SkipSimplifiedLayerNormalization": _SkipNorm("SimplifiedLayerNormalization", 3, (2,)),
    "SkipLayerNormalization": _SkipNorm("LayerNormalization", 4, (2, 3)),
}


def fuse_residual(model: Model, nodes: list[Node]) -> None:
    """Linear, then a norm of its sum with something: the linear adds, the norm stands alone."""
    wiring = Wiring(model, nodes)
    for norm in nodes:
        skip = _SKIP_NORMS.get(norm.kind)
        if skip is None or norm.input(skip.bias):
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
            epsilon = norm.real("epsilon", _SKIP_EPSILON)
            norm.kind, norm.domain = skip.alone, ""
            parameters = [norm.input(index) for index in skip.parameters]
            norm.inputs, norm.outputs = [total, *filter(None, parameters)], norm.outputs[:1]
            norm.attributes["axis"] = integer_attribute("axis", -1)
            norm.attributes["epsilon"] = float_attribute("epsilon", epsilon)
            break


def fuse_norm(model: Model, nodes: list[Node]) -> None:
    """A norm that only linears read, of all rows or of some that are gathered."""
    wiring = Wiring(model, nodes)
    for norm in nodes:
        if norm.kind not in _NORMS or len(norm.outputs) > 1 or norm.integer("axis", -1) != -1:
            continue
        result, weight, bias = norm.outputs[0], norm.input(1), norm.input(2)
        users = wiring.users(result)
        linears = [one for user in users for one in _linears(user, result, wiring)]
        tensor = model.initializers.get(weight)
        if tensor is None or tensor.type != FLOAT or wiring.is_output(result) or not linears:
            continue
        if bias and model.initializers.get(bias) != tensor:
            continue
        if any(not _takes_norm(node, tensor) for node in linears):
            continue
        if any(result in node.inputs[1:] for node in (*users, *linears)):  # added to one, too
            continue
        epsilon = norm.real("epsilon", NORM_EPSILON)
        for user in users:
            user.inputs[0] = norm.input(0)
        for node in linears:
            set_input(node, Input.NORM, weight)
            if bias:
                set_input(node, Input.NORM_BIAS, bias)
            centered = int(norm.kind == _CENTERED)
            node.attributes["centered"] = integer_attribute("centered", centered)
            node.attributes["epsilon"] = float_attribute("epsilon", epsilon)
        disconnect(norm)


def _linears(user: Node, name: str, wiring: Wiring) -> list[Node]:
    """The linears behind a user of a norm; the user itself where it is something else."""
    rows = user.kind == "Gather" and user.integer("axis", 0) == 1
    if not rows or user.inputs[0] != name or wiring.is_output(user.outputs[0]):
        return [user]
    return wiring.users(user.outputs[0]) or [user]


def _takes_norm(node: Node, weight: Tensor) -> bool:
    free = is_linear(node) and not node.input(Input.NORM)
    return free and weight.shape == (node.integer("K"),)


@dataclass(frozen=True, slots=True)
class HeadNorm:
    """An RMSNorm of each head."""

    source: str
    weight: str
    epsilon: float


def norm_of_heads(name: str, size: int, model: Model, wiring: Wiring) -> HeadNorm | None:
    """The norm of heads, between two Reshape, that makes a flat value of another flat one.

    None where there is none, or where heads come from another shape (Llama 4's pairs).
    """
    found = []
    for kind in ("Reshape", _OF_HEADS, "Reshape"):
        node = wiring.maker(name)
        if node is None or node.kind != kind:
            return None
        found.append(node)
        name = node.input(0)
    maker = wiring.maker(name)
    if maker is None or maker.kind not in _FLAT:
        return None
    norm = found[1]
    weight = norm.input(1)
    if norm.integer("axis", -1) != -1 or model.initializers.get(weight) != Tensor(FLOAT, (size,)):
        return None
    return HeadNorm(name, weight, norm.real("epsilon", NORM_EPSILON))
