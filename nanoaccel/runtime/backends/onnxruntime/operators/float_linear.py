"""Products in f32 with a stored matrix: MatMul, Gemm, MatMulBnb4, and a linear in their place.

FloatLinear is as ``linear`` says, but for
  weights  f32, f16 or bf16 [K, N], or [N, K] with ``rows``, initializer; or u8 codes
  scales   of codes alone
attributes rows; codes (what u8 stands for: ``INTEGERS`` in MatMulNBits' layout, ``NF4`` and
``FP4`` in MatMulBnb4's), bits, block_size

Activations are not rounded, so MatMulNBits becomes one where it does not round them either.
"""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.runtime.backends.onnxruntime.graph.model import Model, Node, Tensor
from nanoaccel.runtime.backends.onnxruntime.operators.linear import (
    BFLOAT16,
    FLOAT,
    FLOAT16,
    FLOAT_LINEAR,
    FP4,
    NF4,
    UINT8,
    Input,
    linear_node,
    stored_numbers,
)
from nanoaccel.runtime.backends.onnxruntime.operators.wiring import Wiring

_FLOATS = (FLOAT, FLOAT16, BFLOAT16)
_TABLES = (FP4, NF4)  # by MatMulBnb4's quant_type
_NO_CODES = {"codes": 0, "bits": 0, "block_size": 0}


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A stored matrix of floats.

    Args:
        name: Its initializer.
        columns: K.
        rows: N.
        turned: Whether it is stored as [N, K].
    """

    name: str
    columns: int
    rows: int
    turned: bool


def float_linear(node: Node, model: Model, wiring: Wiring) -> Node | None:
    """A linear that computes what a node does; None for other nodes, and where it cannot."""
    if node.kind == "MatMul":
        return _of_matrix(node, _matrix(node.input(1), False, model, wiring), "")
    if node.kind == "Gemm":
        scaled = node.real("alpha", 1.0) != 1.0 or node.real("beta", 1.0) != 1.0
        if scaled or node.integer("transA", 0):
            return None
        turned = bool(node.integer("transB", 0))
        matrix, bias = _matrix(node.input(1), turned, model, wiring), node.input(2)
        if matrix is None or (
            bias and model.initializers.get(bias) != Tensor(FLOAT, (matrix.rows,))
        ):
            return None
        return _of_matrix(node, matrix, bias)
    return _of_table(node, model, wiring) if node.kind == "MatMulBnb4" else None


def _of_matrix(node: Node, matrix: _Matrix | None, bias: str) -> Node | None:
    if matrix is None:
        return None
    inputs = [node.input(0), matrix.name]
    if bias:
        inputs += [""] * (Input.BIAS - len(inputs)) + [bias]
    sizes = {"K": matrix.columns, "N": matrix.rows, "rows": int(matrix.turned), **_NO_CODES}
    return linear_node(FLOAT_LINEAR, node, inputs, sizes)


def _of_table(node: Node, model: Model, wiring: Wiring) -> Node | None:
    names = ("K", "N", "block_size", "quant_type")
    columns, rows, group, kind = (node.integer(name, 0) or 0 for name in names)
    if not columns or not rows or not group or group % 16 or columns % group:
        return None
    if kind not in (0, 1) or not node.integer("transB", 1):
        return None
    codes = model.initializers.get(node.input(1))
    scales = stored_numbers(node.input(2), rows, columns // group, model, wiring)
    if codes is None or codes.type != UINT8 or scales is None:
        return None
    attributes = {"K": columns, "N": rows, "rows": 1, "codes": _TABLES[kind], "bits": 4}
    inputs = [node.input(0), node.input(1), scales]
    return linear_node(FLOAT_LINEAR, node, inputs, {**attributes, "block_size": group})


def _matrix(name: str, turned: bool, model: Model, wiring: Wiring) -> _Matrix | None:
    """The stored matrix behind a value in f32, through what widens and transposes it."""
    narrow = False
    while (maker := wiring.maker(name)) is not None:
        if maker.kind == "Cast" and maker.integer("to") == FLOAT:
            narrow = True
        elif maker.kind == "Transpose" and maker.integers("perm") in ((), (1, 0)):
            turned = not turned
        else:
            return None
        name = maker.input(0)
    tensor = model.initializers.get(name)
    if tensor is None or len(tensor.shape) != 2 or tensor.type not in _FLOATS:
        return None
    if (tensor.type != FLOAT and not narrow) or tensor.size == 0:
        return None
    columns, rows = tensor.shape[::-1] if turned else tensor.shape
    return _Matrix(name, columns, rows, turned)
