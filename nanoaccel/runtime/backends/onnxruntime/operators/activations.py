"""Activations behind a linear: of all its outputs, or of gates that multiply the others."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.runtime.backends.onnxruntime.graph.model import Model, Node, integer_attribute
from nanoaccel.runtime.backends.onnxruntime.operators.linear import Activation, is_linear
from nanoaccel.runtime.backends.onnxruntime.operators.wiring import Wiring, disconnect

_QUICK = 1.702  # the factor of QuickGelu that kernels have
_BY_KIND = {
    ("com.microsoft", "Gelu"): Activation.GELU,
    ("com.microsoft", "FastGelu"): Activation.TANH_GELU,
    ("", "Relu"): Activation.RELU,
}


@dataclass(frozen=True, slots=True)
class _Found:
    """Nodes that compute an activation.

    Args:
        kind: Which one.
        nodes: The nodes, the last one gives the result.
    """

    kind: Activation
    nodes: tuple[Node, ...]

    @property
    def result(self) -> str:
        """The value that they give."""
        return self.nodes[-1].outputs[0]


def fuse_gates(model: Model, nodes: list[Node]) -> None:
    """Linear, then Split into gate and up, then activation(gate) * up: SwiGLU, GeGLU and others."""
    wiring = Wiring(model, nodes)
    for node in filter(is_linear, nodes):
        split = wiring.only_user(node.outputs[0])
        if split is None or split.kind != "Split" or len(split.outputs) != 2:
            continue
        if len(split.inputs) > 1 or split.integer("axis", 0) != -1 or (node.integer("N") or 0) % 2:
            continue
        gate, up = split.outputs
        found = _activation(gate, model, wiring)
        last = None if found is None else wiring.only_user(found.result)
        if found is None or last is None or last.kind != "Mul":
            continue
        if wiring.only_user(up) is last and {*last.inputs} == {found.result, up}:
            node.attributes["gated"] = integer_attribute("gated", 1)
            _take_over(node, found, last.outputs[0])
            disconnect(split, last)


def fuse_activation(model: Model, nodes: list[Node]) -> None:
    """Linear, then an activation of all its outputs."""
    wiring = Wiring(model, nodes)
    for node in filter(is_linear, nodes):
        free = node.integer("activation") == Activation.NONE and not node.integer("gated")
        found = _activation(node.outputs[0], model, wiring)
        if free and found is not None:
            _take_over(node, found, found.result)


def _take_over(node: Node, found: _Found, result: str) -> None:
    node.attributes["activation"] = integer_attribute("activation", found.kind)
    node.outputs = [result]
    disconnect(*found.nodes)


def _activation(name: str, model: Model, wiring: Wiring) -> _Found | None:
    """The activation of a value that nothing else reads."""
    user = wiring.only_user(name)
    if user is None:
        return _silu(name, wiring)
    if user.kind == "Gelu" and user.domain == "":
        tanh = user.text("approximate") == "tanh"
        return _Found(Activation.TANH_GELU if tanh else Activation.GELU, (user,))
    if user.kind == "QuickGelu" and abs(user.real("alpha", _QUICK) - _QUICK) < 1e-6:
        return _Found(Activation.QUICK_GELU, (user,))
    kind = _BY_KIND.get((user.domain, user.kind))
    if kind is None or len(user.inputs) > 1:  # FastGelu may add a bias
        return None
    square = wiring.only_user(user.outputs[0]) if kind == Activation.RELU else None
    if square is not None and _squares(square, user.outputs[0], model):
        return _Found(Activation.SQUARED_RELU, (user, square))
    return _Found(kind, (user,))


def _squares(node: Node, name: str, model: Model) -> bool:
    if node.kind == "Mul":
        return node.inputs == [name, name]
    exponent = model.initializers.get(node.input(1))
    power = node.kind == "Pow" and node.input(0) == name
    return power and exponent is not None and exponent.scalar == 2


def _silu(name: str, wiring: Wiring) -> _Found | None:
    """Sigmoid, and its Mul with what it was taken of."""
    users = {node.kind: node for node in wiring.users(name)}
    if users.keys() != {"Sigmoid", "Mul"} or wiring.is_output(name):
        return None
    sigmoid, product = users["Sigmoid"], users["Mul"]
    if len(wiring.users(name)) != 2 or wiring.only_user(sigmoid.outputs[0]) is not product:
        return None
    if {*product.inputs} != {name, sigmoid.outputs[0]}:
        return None
    return _Found(Activation.SILU, (sigmoid, product))
