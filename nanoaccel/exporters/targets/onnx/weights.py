"""Reads the weights of a compressed OpenVINO graph, by the modules that they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import ml_dtypes
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.stored import Array, StoredWeight

_MODULE = re.compile(r"__module\.([^/]+)/")
_NF4, _E2M1 = "nf4", "f4e2m1"
_BITS = {"i4": 4, "u4": 4, "i8": 8, "u8": 8, _NF4: 4, _E2M1: 4}
# Twice the numbers of E2M1, as codes of 8 bits whose middle is 128.
_HALVES = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int16) + 128
_SIGNS = {"i4": 0x88, "i8": 0x80}  # flips the sign bits: two's complement becomes code - middle
_FLOATS = ("f32", "f16", "bf16")
# Types that numpy does not know; exponents are scales, and no weights.
_VIEWS = {"bf16": ml_dtypes.bfloat16, "f8e8m0": ml_dtypes.float8_e8m0fnu}
_AWQ = "awq_mul"


@dataclass(frozen=True, slots=True)
class GraphWeights:
    """The matrices of a graph.

    Args:
        products: Matrices that inputs are multiplied with, by module.
        embeddings: Embeddings, by module.
    """

    products: Mapping[str, StoredWeight]
    embeddings: Mapping[str, StoredWeight]

    def product(self, module: str) -> StoredWeight | None:
        """A product's matrix; by the embedding's name too, where that is tied to the last one."""
        if module in self.products or module not in self.embeddings:
            return self.products.get(module)
        keys = {weight.key: weight for weight in self.products.values()}
        return keys.get(self.embeddings[module].key)

    def embedding(self, module: str) -> StoredWeight | None:
        """The matrix of an embedding; of a tied one by the name of the last projection too."""
        if module in self.embeddings or module not in self.products:
            return self.embeddings.get(module)
        keys = {weight.key: weight for weight in self.embeddings.values()}
        return keys.get(self.products[module].key)


def read_weights(model: ov.Model) -> GraphWeights:
    """Find the matrices of a graph; of fused projections each has its own rows.

    Raises:
        ExportError: One is stored in a way that ONNX Runtime cannot compute with.
    """
    products: dict[str, StoredWeight] = {}
    embeddings: dict[str, StoredWeight] = {}
    keys: dict[str, str] = {}
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "MatMul" and is_matrix(node.input_value(1)):
            products.update(_rows_by_module(node, keys))
        elif kind == "Gather" and is_matrix(node.input_value(0)):
            (name,) = modules_of(node)
            embeddings[name] = read_matrix(node.input_value(0), name, keys)
    return GraphWeights(products, embeddings)


def is_matrix(value: ov.Output) -> bool:
    """Whether it is a stored matrix, with all that decompresses it."""
    leaf = leaf_of(value)
    if leaf is None or len(value.get_partial_shape()) != 2:
        return False
    return leaf.get_element_type().get_type_name() not in ("i64", "i32", "boolean")


def leaf_of(value: ov.Output) -> ov.Node | None:
    """The constant of the codes below a matrix; None when it is computed."""
    node = value.get_node()
    kind = node.get_type_name()
    if kind == "Constant":
        return node
    if kind in ("Convert", "Reshape"):
        return leaf_of(node.input_value(0))
    if kind in ("Multiply", "Subtract") and leaf_of(node.input_value(1)) is not None:
        return leaf_of(node.input_value(0))
    return None


def modules_of(node: ov.Node) -> list[str]:
    """The modules that a node belongs to: of fused projections several."""
    parts = str(node.get_friendly_name()).split("+")
    found = [_MODULE.search(part) for part in parts]
    return [part if match is None else match[1] for part, match in zip(parts, found, strict=True)]


def _rows_by_module(node: ov.Node, keys: dict[str, str]) -> dict[str, StoredWeight]:
    """The matrix of a product, apart for each of the projections that were fused into it."""
    names = modules_of(node)
    attributes = node.get_attributes()
    if not attributes["transpose_b"] or attributes["transpose_a"]:
        raise ExportError(
            f"{names[0]} keeps its matrix transposed, which the ONNX export cannot read",
            "Export it for OpenVINO: --runtime openvino",
        )
    stored = _with_input(read_matrix(node.input_value(1), names[0], keys), node.input_value(0))
    if len(names) == 1:
        return {names[0]: stored}
    ends = np.cumsum(_widths(node))
    begins = [0, *ends[:-1]]
    return {
        name: replace(stored.slice(int(begin), int(end)), key=name)
        for name, begin, end in zip(names, begins, ends, strict=True)
    }


def _widths(node: ov.Node) -> NDArray[np.int64]:
    """Rows of each of the projections that were fused into a product."""
    value = node.output(0)
    while True:
        (target,) = value.get_target_inputs()
        reader = target.get_node()
        if reader.get_type_name() == "VariadicSplit":
            widths: NDArray[np.int64] = reader.input_value(2).get_node().data
            return widths
        assert reader.get_type_name() == "Add", "a fused product is split, after its bias"
        value = reader.output(0)


def read_matrix(value: ov.Output, name: str, keys: dict[str, str]) -> StoredWeight:
    """A matrix from what decompresses it.

    Args:
        value: The matrix.
        name: Name of a module that reads it.
        keys: Name of the first module that reads a constant, by the name of that constant, which
            OpenVINO may number anew each time.
    """
    leaf = leaf_of(value)
    assert leaf is not None
    rows, columns = value.get_partial_shape().to_shape()
    key = keys.setdefault(str(leaf.get_friendly_name()), name)
    if is_float(leaf) and _below(value, "Multiply") is None:
        return StoredWeight(key, floats_of(leaf).reshape(rows, columns), columns, 0)
    codes = read_codes(value, name)
    scales = codes.scales.reshape(rows, -1)
    zeros = None if codes.zeros is None else codes.zeros.reshape(rows, -1)
    return StoredWeight(
        key,
        codes.raw.reshape(rows, -1),
        columns,
        codes.bits,
        scales,
        zeros,
        nf4=codes.nf4,
        sign=codes.sign,
    )


@dataclass(frozen=True, slots=True)
class Codes:
    """What a compressed matrix is made of, as it lies in the graph.

    Args:
        bits: Bits of a code.
        raw: u8, in the order of the numbers; of 4-bit codes the earlier one in the lower half.
        scales: f16 or f32.
        zeros: u8 of the shape of the scales, one a byte; None is the middle of the range.
        nf4: Whether codes of 4 bits stand for the numbers of NF4, and not for themselves.
        sign: Bits by which the bytes differ from codes.
    """

    bits: int
    raw: NDArray[np.uint8]
    scales: Array
    zeros: NDArray[np.uint8] | None
    nf4: bool
    sign: int = 0

    @property
    def octets(self) -> NDArray[np.uint8]:
        """The codes: a copy where they are not stored so."""
        return self.raw ^ np.uint8(self.sign) if self.sign else self.raw


def read_codes(value: ov.Output, name: str) -> Codes:
    """The codes of a compressed matrix, or of several.

    Args:
        value: What decompresses it.
        name: Name of a module that reads it.

    Raises:
        ExportError: It is stored in a way that ONNX Runtime cannot compute with.
    """
    leaf = leaf_of(value)
    assert leaf is not None
    kind = leaf.get_element_type().get_type_name()
    scaled = _below(value, "Multiply")
    if kind not in _BITS or scaled is None:
        raise ExportError(
            f"{name} is stored as {kind}, which the ONNX export cannot take over",
            "Choose other weights, or --runtime openvino",
        )
    raw: NDArray[np.uint8] = leaf.data.view(np.uint8)
    if kind == _E2M1:
        return _halves(raw, scaled.input_value(1))
    scales = stored_floats(scaled.input_value(1))
    shift = _below(scaled.input_value(0), "Subtract")
    zeros = None if shift is None else _zero_points(shift.input_value(1), scales.shape)
    return Codes(_BITS[kind], raw, scales, zeros, nf4=kind == _NF4, sign=_SIGNS.get(kind, 0))


def _halves(octets: NDArray[np.uint8], scales: ov.Output) -> Codes:
    """MXFP4 as integers: its numbers are multiples of a half, so that none changes."""
    codes = np.stack([octets & 15, octets >> 4], -1)
    wide = np.ldexp(stored_floats(scales).astype(np.float32), -1)
    narrow = wide.astype(np.float16)
    exact = bool((narrow.astype(np.float32) == wide).all())
    return Codes(8, _HALVES.astype(np.uint8)[codes], narrow if exact else wide, None, nf4=False)


def _below(value: ov.Output, type_name: str) -> ov.Node | None:
    """The node of a type from which a value comes, through conversions and reshapes."""
    node = value.get_node()
    kind = node.get_type_name()
    if kind == type_name:
        return node
    return _below(node.input_value(0), type_name) if kind in ("Convert", "Reshape") else None


def is_float(constant: ov.Node) -> bool:
    """Whether a constant holds floats."""
    return constant.get_element_type().get_type_name() in _FLOATS


def floats_of(constant: ov.Node) -> Array:
    """The floats of a constant, in their own type."""
    data: Array = constant.data
    kind = constant.get_element_type().get_type_name()
    return data.view(_VIEWS[kind]) if kind in _VIEWS else data


def stored_floats(value: ov.Output) -> Array:
    """Stored floats, in the type that they are stored as."""
    node = value.get_node()
    return (
        stored_floats(node.input_value(0)) if node.get_type_name() == "Convert" else floats_of(node)
    )


def _zero_points(value: ov.Output, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    node = value.get_node()
    if node.get_type_name() != "Constant":
        return _zero_points(node.input_value(0), shape)
    octets: NDArray[np.uint8] = node.data.view(np.uint8).ravel()
    count = int(np.prod(list(node.get_output_shape(0))))
    if node.get_element_type().get_type_name() == "u4":
        octets = np.stack([octets & 15, octets >> 4], -1).ravel()
    zeros = octets[:count].reshape(shape if count > 1 else (1,) * len(shape))
    return np.ascontiguousarray(np.broadcast_to(zeros, shape))


def _with_input(stored: StoredWeight, value: ov.Output) -> StoredWeight:
    """Add what is done to the input on its way to the product."""
    permutation: NDArray[np.int64] | None = None
    scale: NDArray[np.float32] | None = None
    while True:
        node = value.get_node()
        kind = node.get_type_name()
        if kind == "Gather" and node.input_value(1).get_node().get_type_name() == "Constant":
            permutation = node.input_value(1).get_node().data.astype(np.int64)
            assert scale is None, "columns are moved last"
        elif _is_awq(node):
            scale = _times(scale, node)
        elif kind == "Multiply":
            for source in (node.input_value(0), node.input_value(1)):
                if _is_awq(source.get_node()):
                    scale = _times(scale, source.get_node())
            break
        elif kind != "Convert":
            break
        value = node.input_value(0)
    return replace(stored, permutation=permutation, input_scale=scale)


def _is_awq(node: ov.Node) -> bool:
    return node.get_type_name() == "Multiply" and _AWQ in str(node.get_friendly_name())


def _times(scale: NDArray[np.float32] | None, node: ov.Node) -> NDArray[np.float32]:
    own = stored_floats(node.input_value(1)).astype(np.float32).ravel()
    return own if scale is None else scale * own
