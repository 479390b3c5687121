"""Reads the matrices of experts from a compressed OpenVINO graph, which stacks those of a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import openvino as ov

from nanoaccel.exporters.targets.onnx.stored import Array, StoredWeight
from nanoaccel.exporters.targets.onnx.weights import (
    floats_of,
    is_float,
    leaf_of,
    read_codes,
)

Shape: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Stacks:
    """The experts of a graph.

    Args:
        compressed: Matrices whose rows are those of one expert behind those of the one before it,
            by experts, rows of one and columns.
        floats: The type of those that are floats; None where there are none.
    """

    compressed: Mapping[Shape, Sequence[StoredWeight]]
    floats: np.dtype[Any] | None


def read_stacks(model: ov.Model) -> Stacks:
    """Find the experts of a graph.

    Raises:
        ExportError: Some are stored in a way that ONNX Runtime cannot compute with.
    """
    compressed: dict[Shape, list[StoredWeight]] = {}
    floats: np.dtype[Any] | None = None
    for node in model.get_ordered_ops():
        leaf = _leaf(node)
        if leaf is None:
            continue
        if is_float(leaf):
            floats = floats_of(leaf).dtype
            continue
        stored, rows = _read(node)
        compressed.setdefault((stored.rows // rows, rows, stored.columns), []).append(stored)
    return Stacks(compressed, floats)


def _leaf(node: ov.Node) -> ov.Node | None:
    """What a product with a matrix for each expert reads; None for other nodes."""
    if node.get_type_name() != "MatMul" or len(node.input_value(1).get_partial_shape()) != 3:
        return None
    return leaf_of(node.input_value(1))


def _read(node: ov.Node) -> tuple[StoredWeight, int]:
    """The stack that a product reads, and the rows of one matrix."""
    name = str(node.get_friendly_name())
    value = node.input_value(1)
    codes = read_codes(value, name)
    experts, rows, columns = value.get_partial_shape().to_shape()
    octets, scales, zeros = codes.octets, codes.scales, codes.zeros
    if not node.get_attributes()["transpose_b"]:  # groups go along rows
        rows, columns = columns, rows
        octets = _turned_codes(octets, codes.bits, experts, rows)
        scales = _turned(scales, experts, rows)
        zeros = None if zeros is None else _turned(zeros, experts, rows)
    count = experts * rows
    stored = StoredWeight(
        name,
        octets.reshape(count, -1),
        columns,
        codes.bits,
        scales.reshape(count, -1),
        None if zeros is None else zeros.reshape(count, -1),
    )
    return stored, rows


def _turned_codes(octets: Array, bits: int, experts: int, width: int) -> Array:
    if bits == 8:
        return _turned(octets, experts, width)
    codes = _turned(np.stack([octets & 15, octets >> 4], -1), experts, width)
    packed: Array = codes[..., ::2] | codes[..., 1::2] << np.uint8(4)
    return packed


def _turned(numbers: Array, experts: int, width: int) -> Array:
    """Matrices [in, width] as [width, in]."""
    return np.ascontiguousarray(numbers.reshape(experts, -1, width).transpose(0, 2, 1))
