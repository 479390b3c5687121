"""The node of a quantized linear, and MatMulNBits in its place.

Linear (domain nanoaccel)
  x         f32 [..., K]
  codes     u8 [N, groups, group * bits / 8], initializer
  scales    f16 or f32 [N, divisor of groups], initializer
  zeros     u8, initializer: 4 bits [N, (groups + 1) / 2], 8 bits as scales; or none
  bias      f32 [N], initializer; or none
  norm      f32 [K], initializer: the weights of an RMSNorm of x; or none
  residual  f32 [..., width], added to the result; or none
attributes K, N, bits, block_size, swiglu (width is N / 2 then), epsilon (of the norm)
"""

from __future__ import annotations

from enum import IntEnum

from nanoaccel.runtime.backends.onnxruntime.graph.model import (
    Model,
    Node,
    Tensor,
    integer_attribute,
)
from nanoaccel.runtime.backends.onnxruntime.operators.wiring import Wiring

DOMAIN, VERSION = "nanoaccel", 1
FLOAT, UINT8, FLOAT16 = 1, 2, 10  # types of tensors, as ONNX numbers them
_KIND, _STOCK = "Linear", "MatMulNBits"
INT8_ACTIVATIONS = 4  # an accuracy_level
_WIDENING = ("Cast", "Expand", "Reshape")


class Input(IntEnum):
    """Inputs of the node, in their order."""

    X = 0
    CODES = 1
    SCALES = 2
    ZEROS = 3
    BIAS = 4
    NORM = 5
    RESIDUAL = 6


class _Stock(IntEnum):
    """Inputs of MatMulNBits."""

    X = 0
    CODES = 1
    SCALES = 2
    ZEROS = 3
    ORDER = 4
    BIAS = 5


def is_linear(node: Node | None) -> bool:
    """Whether a node is one of these."""
    return node is not None and node.kind == _KIND and node.domain == DOMAIN


def set_input(node: Node, place: Input, name: str) -> None:
    """Give a node an input that it had not."""
    node.inputs += [""] * (place + 1 - len(node.inputs))
    node.inputs[place] = name


def linear_of(node: Node, model: Model, wiring: Wiring) -> Node | None:
    """A linear that computes what a MatMulNBits does; None for other nodes, and where it cannot."""
    if node.kind != _STOCK or node.integer("accuracy_level") != INT8_ACTIVATIONS:
        return None
    columns, rows, bits, group = (node.integer(n) for n in ("K", "N", "bits", "block_size"))
    if columns is None or rows is None or bits not in (None, 4, 8) or node.input(_Stock.ORDER):
        return None
    if group is None or group & (group - 1) or not 16 <= group <= 256:
        return None
    groups = -(-columns // group)
    scales = _stored(node.input(_Stock.SCALES), (FLOAT, FLOAT16), rows, groups, model, wiring)
    inputs = [node.input(_Stock.X), node.input(_Stock.CODES), scales]
    if node.input(_Stock.ZEROS):
        packed = bits != 8
        width = (groups + 1) // 2 if packed else groups
        zeros = _stored(node.input(_Stock.ZEROS), (UINT8,), rows, width, model, wiring)
        if packed and zeros is not None and model.initializers[zeros].size != rows * width:
            return None
        inputs.append(zeros)
    if node.input(_Stock.BIAS):
        bias = node.input(_Stock.BIAS)
        tensor = model.initializers.get(bias)
        inputs += [""] * (Input.BIAS - len(inputs))
        inputs.append(bias if tensor == Tensor(FLOAT, (rows,)) else None)
    codes = model.initializers.get(node.input(_Stock.CODES))
    if codes is None or codes.type != UINT8 or None in inputs:
        return None
    attributes = {"K": columns, "N": rows, "bits": bits or 4, "block_size": group, "swiglu": 0}
    return Node(
        _KIND,
        [name for name in inputs if name is not None],
        list(node.outputs[:1]),
        node.name,
        DOMAIN,
        {name: integer_attribute(name, value) for name, value in attributes.items()},
    )


def _stored(
    name: str, types: tuple[int, ...], rows: int, width: int, model: Model, wiring: Wiring
) -> str | None:
    """The initializer that nodes only widen and repeat; None where it is something else."""
    while (maker := wiring.maker(name)) is not None:
        if maker.kind not in _WIDENING:
            return None
        name = maker.input(0)
    tensor = model.initializers.get(name)
    if tensor is None or tensor.type not in types or tensor.size % rows or tensor.size == 0:
        return None
    if tensor.shape[0] not in (rows, tensor.size) or width % (tensor.size // rows):
        return None
    return name
