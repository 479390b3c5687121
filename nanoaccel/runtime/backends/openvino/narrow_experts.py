"""Experts in MXFP4 as integers of 8 bits.

The CPU plugin gathers matrices of integers as they are stored, and widens those of all other types
to 16 or 32 bits when it compiles a graph. E2M1 numbers are multiples of a half, so integers and
halved scales stand for the same weights.
"""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as ops

_DOUBLED = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int8)
_HALF_OF_ONE = 128  # the exponent of E8M0 that stands for 2
_STACK = 3  # axes of the matrices of all experts


def as_integers(model: ov.Model) -> int:
    """Edit a graph, in place.

    Args:
        model: Its experts may be stored in any type.

    Returns:
        Constants that were replaced.
    """
    found = 0
    for node in model.get_ops():
        if node.get_type_name() != "MatMul" or len(node.get_input_partial_shape(1)) != _STACK:
            continue
        scaled = _behind(node.input_value(1).get_node(), "Multiply")
        if scaled is None:
            continue
        codes, scales = (
            _behind(scaled.input_value(port).get_node(), "Constant") for port in (0, 1)
        )
        if codes is None or scales is None:
            continue
        kinds = [one.get_element_type().get_type_name() for one in (codes, scales)]
        if kinds == ["f4e2m1", "f8e8m0"]:
            weights = _integers(codes, scales, list(node.get_input_shape(1)))
            node.input(1).replace_source_output(weights.output(0))
            found += 1
    return found


def _integers(codes: ov.Node, scales: ov.Node, shape: list[int]) -> ov.Node:
    octets = codes.data.view(np.uint8).ravel()
    numbers = ov.Tensor(ov.Type.i8, codes.get_output_shape(0))
    numbers.data.reshape(-1, 2)[:] = _DOUBLED[np.stack([octets & 15, octets >> 4], axis=-1)]
    exponents = scales.data.view(np.uint8).reshape(list(scales.get_output_shape(0)))
    halved = np.ldexp(np.float32(1), exponents.astype(np.int32) - _HALF_OF_ONE)
    product = ops.multiply(ops.convert(ops.constant(numbers), "f32"), ops.constant(halved))
    return ops.reshape(product, shape, special_zero=False)


def _behind(node: ov.Node, kind: str) -> ov.Node | None:
    """The node of a kind that a value comes from, through conversions and reshapes."""
    while node.get_type_name() != kind:
        if node.get_type_name() not in ("Convert", "Reshape"):
            return None
        node = node.input_value(0).get_node()
    return node
