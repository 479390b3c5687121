"""Reads matrices that lie otherwise than in rows: those of experts, and transposed ones."""

from __future__ import annotations

import numpy as np
import openvino as ov

from nanoaccel.exporters.targets.onnx.stored import Array, StoredWeight
from nanoaccel.exporters.targets.onnx.weights import (
    floats_of,
    is_float,
    leaf_of,
    read_codes,
)


def read_stack(node: ov.Node) -> tuple[StoredWeight, int]:
    """The matrices that a product reads, one of each expert, and the rows of one.

    Returns:
        A matrix whose rows are those of one expert behind those of the one before it.

    Raises:
        ExportError: They are stored in a way that ONNX Runtime cannot compute with.
    """
    name = str(node.get_friendly_name())
    value = node.input_value(1)
    experts, rows, columns = value.get_partial_shape().to_shape()
    leaf = leaf_of(value)
    assert leaf is not None
    if is_float(leaf) and value.get_node().get_type_name() != "Multiply":
        floats = floats_of(leaf).reshape(experts, rows, columns)
        if not node.get_attributes()["transpose_b"]:
            rows, columns = columns, rows
            floats = floats.transpose(0, 2, 1)
        return StoredWeight(name, floats.reshape(-1, columns), columns, 0), rows
    codes = read_codes(value, name)
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


def read_turned(value: ov.Output, name: str, keys: dict[str, str]) -> StoredWeight:
    """A matrix [in, out] of a graph, as [out, in]; see ``weights.read_matrix``."""
    leaf = leaf_of(value)
    assert leaf is not None
    columns, rows = value.get_partial_shape().to_shape()
    key = f"{keys.setdefault(str(leaf.get_friendly_name()), name)}.turned"
    if is_float(leaf) and value.get_node().get_type_name() != "Multiply":
        return StoredWeight(key, floats_of(leaf).reshape(columns, rows).T, columns, 0)
    codes = read_codes(value, name)
    zeros = codes.zeros
    return StoredWeight(
        key,
        _turned_codes(codes.octets, codes.bits, 1, rows).reshape(rows, -1),
        columns,
        codes.bits,
        _turned(codes.scales, 1, rows).reshape(rows, -1),
        None if zeros is None else _turned(zeros, 1, rows).reshape(rows, -1),
        nf4=codes.nf4,
    )
