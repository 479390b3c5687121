"""The compiled quantized linear, called without ONNX Runtime."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.native import find_operators

_FLOATS = ctypes.POINTER(ctypes.c_float)


# What stands behind a product, in the order of linear/kernels.h.
ACTIVATIONS = ("none", "silu", "gelu", "tanh gelu", "quick gelu", "relu", "squared relu")


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """What is done around a product.

    Args:
        norm: f32 [K], weights of a norm of the input; None is none.
        norm_bias: f32 [K], what is added behind it.
        epsilon: Of the norm.
        centered: Whether the norm subtracts the mean.
        activation: One of ``ACTIVATIONS``; of gates alone where there are any.
        residual: f32 [rows, width], added to the result.
    """

    norm: NDArray[np.float32] | None = None
    norm_bias: NDArray[np.float32] | None = None
    epsilon: float = 1e-5
    centered: bool = False
    activation: str = "none"
    residual: NDArray[np.float32] | None = None

    def native(self) -> _Around:
        """As the library takes it."""
        return _Around(
            _pointer(self.norm),
            _pointer(self.norm_bias),
            _pointer(self.residual),
            self.centered,
            ACTIVATIONS.index(self.activation),
            self.epsilon,
        )


class _Around(ctypes.Structure):
    _fields_ = (
        *[(name, _FLOATS) for name in ("norm", "norm_bias", "residual")],
        ("centered", ctypes.c_int64),
        ("activation", ctypes.c_int64),
        ("epsilon", ctypes.c_float),
    )


ALONE = Around()


class StoredMatrix(ctypes.Structure):
    """Arrays of a matrix, as the library takes them."""

    _fields_ = (
        ("codes", ctypes.c_void_p),
        ("codes_size", ctypes.c_int64),
        ("scales", ctypes.c_void_p),
        ("scales_size", ctypes.c_int64),
        ("scales_half", ctypes.c_int64),
        ("exponents", ctypes.c_void_p),
        ("exponents_size", ctypes.c_int64),
        ("factors", ctypes.c_void_p),
        ("factors_size", ctypes.c_int64),
        ("zeros", ctypes.c_void_p),
        ("zeros_size", ctypes.c_int64),
        ("bias", ctypes.c_void_p),
        ("bias_size", ctypes.c_int64),
    )

    @classmethod
    def of(cls, kept: list[NDArray[Any]], **arrays: NDArray[Any] | None) -> StoredMatrix:
        """The arrays that there are; what must live until they are packed is added to ``kept``."""
        scales = arrays.get("scales")
        made = cls(scales_half=scales is not None and scales.dtype == np.float16)
        for name, array in arrays.items():
            if array is not None:
                kept.append(np.ascontiguousarray(array))
                setattr(made, name, kept[-1].ctypes.data)
                setattr(made, f"{name}_size", array.size)
        return made


def pack(library: ctypes.CDLL, kind: str, source: ctypes.Structure) -> ctypes.c_void_p:
    """What the library makes of a source.

    Raises:
        ValueError: It is malformed; the message is the library's.
    """
    function = library[f"nanoaccel_{kind}_pack"]
    function.restype = ctypes.c_void_p
    problem = ctypes.create_string_buffer(200)
    packed = function(ctypes.byref(source), problem, ctypes.c_int64(len(problem)))
    if packed is None:
        raise ValueError(problem.value.decode())
    return ctypes.c_void_p(packed)


class _Source(ctypes.Structure):
    _fields_ = (
        *[(name, ctypes.c_int64) for name in ("inputs", "outputs", "bits", "group", "gated")],
        ("matrix", StoredMatrix),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A quantized matrix in MatMulNBits' layout.

    Args:
        inputs: K.
        outputs: N.
        bits: 4 or 8.
        group: Values that share a scale.
        codes: u8 [N, groups, group * bits / 8].
        scales: f32 or f16 [N, a divisor of groups].
        zeros: u8 [N, ...]; None is the middle.
        bias: f32 [N].
        gated: Whether the halves of the rows are gates and up projections.
        exponents: u8 [N, groups], scales of MXFP4: factor * 2^(n - 127).
        factor: Of exponents.
    """

    inputs: int
    outputs: int
    bits: int
    group: int
    codes: NDArray[np.uint8]
    scales: NDArray[Any] | None
    zeros: NDArray[np.uint8] | None = None
    bias: NDArray[np.float32] | None = None
    gated: bool = False
    exponents: NDArray[np.uint8] | None = None
    factor: float = 1.0

    @property
    def groups(self) -> int:
        return -(-self.inputs // self.group)

    def with_(self, **changes: Any) -> Matrix:
        return replace(self, **changes)


def random_matrix(
    rng: np.random.Generator,
    inputs: int,
    outputs: int,
    *,
    bits: int = 4,
    group: int = 32,
    zeros: bool = False,
    half: bool = True,
    shared: int = 1,
    bias: bool = False,
    gated: bool = False,
    mx: bool = False,
    doubled: bool = False,
) -> Matrix:
    """Random codes and scales.

    Args:
        shared: Neighbouring groups with one scale; must divide the number of groups.
        mx: Whether they are MXFP4, which has 4 bits, groups of 32, and no zero points.
        doubled: Whether all codes, of 8 bits, are E2M1 numbers, doubled.
    """
    groups = -(-inputs // group)
    codes = rng.integers(0, 256, (outputs, groups, group * bits // 8), np.uint8)
    if doubled:
        halves = np.array([0, 1, 2, 3, 4, 6, 8, 12])
        codes = np.concatenate([128 + halves, 128 - halves]).astype(np.uint8)[codes % 16]
    scales = rng.uniform(0.5, 1.5, (outputs, groups // shared)).astype(np.float32) / 64
    points = None
    if zeros:
        width = (groups + 1) // 2 if bits == 4 else groups // shared
        points = rng.integers(0, 256, (outputs, width), np.uint8)
    made = Matrix(
        inputs,
        outputs,
        bits,
        group,
        codes,
        scales.astype(np.float16) if half else scales,
        points,
        rng.normal(size=outputs).astype(np.float32) if bias else None,
        gated,
    )
    if not mx:
        return made
    least = 114 if half else 90  # f16 holds no power of two that is smaller
    exponents = rng.integers(least, 123, (outputs, groups), np.uint8)
    return made.with_(scales=None, exponents=exponents, factor=0.75 if not half else 1.0)


class PackedLinear:
    """A matrix in the library.

    Raises:
        ValueError: It is malformed; the message is the library's.
    """

    def __init__(self, matrix: Matrix) -> None:
        library = find_operators().library
        assert library is not None
        self._library = ctypes.CDLL(str(library))
        self._matrix = matrix
        kept: list[NDArray[Any]] = []
        names = ("codes", "scales", "exponents", "zeros", "bias")
        arrays = {name: getattr(matrix, name) for name in names}
        arrays["factors"] = np.array([matrix.factor], np.float32)
        sizes = (matrix.inputs, matrix.outputs, matrix.bits, matrix.group, matrix.gated)
        source = _Source(*sizes, StoredMatrix.of(kept, **arrays))
        self._packed = pack(self._library, "linear", source)

    def run(
        self,
        path: str,
        x: NDArray[np.float32],
        around: Around = ALONE,
        *,
        parts: int = 1,
    ) -> NDArray[np.float32]:
        """The result for rows of x, computed in some parts."""
        width = self._matrix.outputs // 2 if self._matrix.gated else self._matrix.outputs
        y = np.full((len(x), width), np.nan, np.float32)
        done = self._library.nanoaccel_linear_run(
            self._packed,
            path.encode(),
            _pointer(x),
            ctypes.c_int64(len(x)),
            ctypes.byref(around.native()),
            _pointer(y),
            ctypes.c_int64(parts),
        )
        assert done, f"no path {path}"
        return y

    def __del__(self) -> None:
        if hasattr(self, "_packed"):
            self._library.nanoaccel_linear_free(self._packed)


def _pointer(array: NDArray[np.float32] | None) -> Any:
    if array is None:
        return None
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    return array.ctypes.data_as(_FLOATS)
