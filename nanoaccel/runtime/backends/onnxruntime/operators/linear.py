"""The node of a linear: its inputs, and what stored numbers they are read from.

Linear and FloatLinear (domain nanoaccel)
  x          f32 [..., K]
  weights    u8 [N, groups, group * bits / 8], initializer; or as ``float_linear`` says
  scales     f16 or f32 [N, divisor of groups], initializer
  zeros      u8, initializer: 4 bits [N, (groups + 1) / 2], 8 bits as scales; or none
  bias       f32 [N], initializer; or none
  norm       f32 [K], initializer: the weights of a norm of x; or none
  norm_bias  f32 [K], initializer: what the norm adds; or none
  residual   f32 [..., width], added to the result; or none
  adapters   i32 [rows], or [T] where x is [1, T, ...]: the slot of the adapter of each, negative
             without one; or [0], or none
attributes K, N, bits, block_size, gated (the first half of the outputs are gates; width is N / 2
then), activation (a number of ``Activation``), epsilon and centered (of the norm; whether it
subtracts the mean); with adapters: adapters (number of the library's table), matrix (its own
number there)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
LINEAR, FLOAT_LINEAR = "Linear", "FloatLinear"
BFLOAT16, FLOAT8E8M0 = 16, 24
_STOCK = "MatMulNBits"
INT8_ACTIVATIONS = 4  # an accuracy_level
INTEGERS, NF4, FP4 = 3, 4, 5  # kinds of codes, as FloatLinear numbers them
_WIDENING = ("Cast", "Expand", "Reshape")


class Input(IntEnum):
    """Inputs of the node, in their order."""

    X = 0
    WEIGHTS = 1
    SCALES = 2
    ZEROS = 3
    BIAS = 4
    NORM = 5
    NORM_BIAS = 6
    RESIDUAL = 7
    ADAPTERS = 8


class Activation(IntEnum):
    """What a linear does to its outputs, or to its gates."""

    NONE = 0
    SILU = 1
    GELU = 2
    TANH_GELU = 3
    QUICK_GELU = 4
    RELU = 5
    SQUARED_RELU = 6


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
    return node is not None and node.domain == DOMAIN and node.kind in (LINEAR, FLOAT_LINEAR)


def set_input(node: Node, place: Input, name: str) -> None:
    """Give a node an input that it had not."""
    node.inputs += [""] * (place + 1 - len(node.inputs))
    node.inputs[place] = name


def linear_node(kind: str, old: Node, inputs: Sequence[str], attributes: Mapping[str, int]) -> Node:
    """A linear in the place of a node of one output.

    Args:
        kind: ``LINEAR`` or ``FLOAT_LINEAR``.
        old: The node.
        inputs: Names, in the order of ``Input``.
        attributes: K, N and those of the kind.
    """
    numbers = {"gated": 0, "activation": Activation.NONE, "centered": 0, **attributes}
    written = {name: integer_attribute(name, value) for name, value in numbers.items()}
    return Node(kind, list(inputs), list(old.outputs[:1]), old.name, DOMAIN, written)


def quantized_linear(node: Node, model: Model, wiring: Wiring) -> Node | None:
    """A linear that computes what a MatMulNBits does; None for other nodes, and where it cannot.

    Its activations are rounded to int8 where the node's are, else they stay f32.
    """
    if node.kind != _STOCK:
        return None
    rounds = node.integer("accuracy_level", 0) == INT8_ACTIVATIONS
    columns, rows, bits, group = (node.integer(n) for n in ("K", "N", "bits", "block_size"))
    if columns is None or rows is None or bits not in (None, 4, 8) or node.input(_Stock.ORDER):
        return None
    if group is None or group & (group - 1) or group < 16 or (rounds and group > 256):
        return None
    if columns < 1 or rows < 1:
        return None
    groups = -(-columns // group)
    scales = stored_numbers(node.input(_Stock.SCALES), rows, groups, model, wiring)
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
    given = [name for name in inputs if name is not None]
    attributes = {"K": columns, "N": rows, "bits": bits or 4, "block_size": group}
    if rounds:
        return linear_node(LINEAR, node, given, attributes)
    return linear_node(FLOAT_LINEAR, node, given, {**attributes, "codes": INTEGERS, "rows": 1})


def stored_numbers(name: str, rows: int, width: int, model: Model, wiring: Wiring) -> str | None:
    """The initializer of f32 numbers for each row, stored as f32 or f16; None where there is none.

    Args:
        name: A value that is f32.
        rows: Rows of a matrix.
        width: Numbers for each of them, which may be shared by neighbours.
        model: The graph.
        wiring: Its wiring.
    """
    direct = model.initializers.get(name)
    if direct is not None and direct.type != FLOAT:
        return None  # the graph computes in f16
    return _stored(name, (FLOAT, FLOAT16), rows, width, model, wiring)


def _stored(
    name: str, types: tuple[int, ...], rows: int, width: int, model: Model, wiring: Wiring
) -> str | None:
    """The initializer that nodes only widen and repeat; None where it is something else."""
    while (maker := wiring.maker(name)) is not None:
        if maker.kind not in _WIDENING:
            return None
        name = maker.input(0)
    tensor = model.initializers.get(name)
    if tensor is None or tensor.type not in types or not tensor.shape:
        return None
    if tensor.size % rows or tensor.size == 0:
        return None
    if tensor.shape[0] not in (rows, tensor.size) or width % (tensor.size // rows):
        return None
    return name
