"""What stands around a linear and can be computed by it, in the order in which it is sought."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from nanoaccel.runtime.backends.onnxruntime.graph.model import Model, Node, Tensor
from nanoaccel.runtime.backends.onnxruntime.operators.activations import (
    fuse_activation,
    fuse_gates,
)
from nanoaccel.runtime.backends.onnxruntime.operators.experts import fuse_shares
from nanoaccel.runtime.backends.onnxruntime.operators.linear import (
    FLOAT,
    Input,
    is_linear,
    set_input,
)
from nanoaccel.runtime.backends.onnxruntime.operators.norms import fuse_norm, fuse_residual
from nanoaccel.runtime.backends.onnxruntime.operators.wiring import Wiring, disconnect

Fusion: TypeAlias = Callable[[Model, list[Node]], None]


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
            disconnect(add)


FUSIONS: tuple[Fusion, ...] = (
    fuse_shares,
    fuse_bias,
    fuse_gates,
    fuse_activation,
    fuse_residual,
    fuse_norm,
)
