"""The compiled quantized linear, called without ONNX Runtime, and what it computes in numpy."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.native import find_operators

_FLOATS = ctypes.POINTER(ctypes.c_float)


class _Source(ctypes.Structure):
    _fields_ = (
        *[(name, ctypes.c_int64) for name in ("inputs", "outputs", "bits", "group", "swiglu")],
        ("codes", ctypes.c_void_p),
        ("codes_size", ctypes.c_int64),
        ("scales", ctypes.c_void_p),
        ("scales_size", ctypes.c_int64),
        ("scales_half", ctypes.c_int64),
        ("zeros", ctypes.c_void_p),
        ("zeros_size", ctypes.c_int64),
        ("bias", ctypes.c_void_p),
        ("bias_size", ctypes.c_int64),
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
        swiglu: Whether the halves of the rows are gates and up projections.
    """

    inputs: int
    outputs: int
    bits: int
    group: int
    codes: NDArray[np.uint8]
    scales: NDArray[Any]
    zeros: NDArray[np.uint8] | None = None
    bias: NDArray[np.float32] | None = None
    swiglu: bool = False

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
    swiglu: bool = False,
) -> Matrix:
    """Random codes and scales.

    Args:
        shared: Neighbouring groups with one scale; must divide the number of groups.
    """
    groups = -(-inputs // group)
    codes = rng.integers(0, 256, (outputs, groups, group * bits // 8), np.uint8)
    scales = rng.uniform(0.5, 1.5, (outputs, groups // shared)).astype(np.float32) / 64
    points = None
    if zeros:
        width = (groups + 1) // 2 if bits == 4 else groups // shared
        points = rng.integers(0, 256, (outputs, width), np.uint8)
    return Matrix(
        inputs,
        outputs,
        bits,
        group,
        codes,
        scales.astype(np.float16) if half else scales,
        points,
        rng.normal(size=outputs).astype(np.float32) if bias else None,
        swiglu,
    )


class PackedLinear:
    """A matrix in the library.

    Raises:
        ValueError: It is malformed; the message is the library's.
    """

    def __init__(self, matrix: Matrix) -> None:
        library = find_operators().library
        assert library is not None
        self._library = ctypes.CDLL(str(library))
        self._library.nanoaccel_linear_pack.restype = ctypes.c_void_p
        self._matrix = matrix
        source = _Source(matrix.inputs, matrix.outputs, matrix.bits, matrix.group, matrix.swiglu)
        source.scales_half = matrix.scales.dtype == np.float16
        kept = []  # alive until they are packed
        for name in ("codes", "scales", "zeros", "bias"):
            array = getattr(matrix, name)
            if array is not None:
                kept.append(np.ascontiguousarray(array))
                setattr(source, name, kept[-1].ctypes.data)
                setattr(source, f"{name}_size", array.size)
        problem = ctypes.create_string_buffer(200)
        size = ctypes.c_int64(len(problem))
        packed = self._library.nanoaccel_linear_pack(ctypes.byref(source), problem, size)
        if packed is None:
            raise ValueError(problem.value.decode())
        self._packed = ctypes.c_void_p(packed)

    def run(
        self,
        path: str,
        x: NDArray[np.float32],
        *,
        norm: NDArray[np.float32] | None = None,
        epsilon: float = 1e-5,
        residual: NDArray[np.float32] | None = None,
        parts: int = 1,
    ) -> NDArray[np.float32]:
        """The result for rows of x, computed in some parts."""
        width = self._matrix.outputs // 2 if self._matrix.swiglu else self._matrix.outputs
        y = np.full((len(x), width), np.nan, np.float32)
        done = self._library.nanoaccel_linear_run(
            self._packed,
            path.encode(),
            _pointer(x),
            ctypes.c_int64(len(x)),
            _pointer(norm),
            ctypes.c_float(epsilon),
            _pointer(residual),
            _pointer(y),
            ctypes.c_int64(parts),
        )
        assert done, f"no path {path}"
        return y

    def __del__(self) -> None:
        if hasattr(self, "_packed"):
            self._library.nanoaccel_linear_free(self._packed)


def reference(
    matrix: Matrix,
    x: NDArray[np.float32],
    *,
    norm: NDArray[np.float32] | None = None,
    epsilon: float = 1e-5,
    residual: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same quantized arithmetic in f64, and the sum of the magnitudes that are added."""
    if norm is not None:
        x = normalized(x, norm, epsilon)
    padded = matrix.groups * matrix.group
    grouped = np.pad(x, ((0, 0), (0, padded - x.shape[1]))).reshape(len(x), matrix.groups, -1)
    most = np.abs(grouped).max(axis=2, keepdims=True)
    inverse = np.divide(np.float32(127), most, out=np.zeros_like(most), where=most > 1e-35)
    q = np.rint(grouped * inverse).astype(np.float64)
    scales = (most / np.float32(127)).astype(np.float64) * (most > 1e-35)
    products = np.einsum("mgk,ngk->mng", q, _centred(matrix))
    weight_scales = _each_group(matrix.scales, matrix.groups).astype(np.float64)
    terms = products * weight_scales[None] * scales.transpose(0, 2, 1)
    y, size = terms.sum(axis=2), np.abs(terms).sum(axis=2)
    if matrix.bias is not None:
        y, size = y + matrix.bias, size + np.abs(matrix.bias)
    if matrix.swiglu:
        half = matrix.outputs // 2
        gate, up = y[:, :half], y[:, half:]
        with np.errstate(over="ignore"):  # of a gate that is closed
            y = gate / (1 + np.exp(-gate)) * up
        size = size[:, :half] * (1 + np.abs(up)) + size[:, half:] * (1 + np.abs(gate))
    if residual is not None:
        y, size = y + residual, size + np.abs(residual)
    return y, size


def normalized(
    x: NDArray[np.float32], weight: NDArray[np.float32], epsilon: float
) -> NDArray[np.float32]:
    """RMSNorm, rounded to f32 where the kernels do; the sum is taken in f64."""
    mean = np.square(x.astype(np.float64)).mean(axis=1, keepdims=True)
    inverse = (1 / np.sqrt(mean + epsilon)).astype(np.float32)
    return x * inverse * weight


def _centred(matrix: Matrix) -> NDArray[np.float64]:
    """Codes less their zero points, [N, groups, group]."""
    codes = matrix.codes
    if matrix.bits == 4:
        codes = np.stack([codes & 15, codes >> 4], -1)
    codes = codes.reshape(matrix.outputs, matrix.groups, matrix.group)
    if matrix.zeros is None:
        return codes.astype(np.float64) - (1 << matrix.bits - 1)
    zeros = matrix.zeros
    if matrix.bits == 4:
        zeros = np.stack([zeros & 15, zeros >> 4], -1).reshape(matrix.outputs, -1)
        zeros = zeros[:, : matrix.groups]
    else:
        zeros = _each_group(zeros, matrix.groups)
    return codes.astype(np.float64) - zeros[:, :, None]


def _each_group(numbers: NDArray[Any], groups: int) -> NDArray[Any]:
    return numbers.repeat(groups // numbers.shape[1], axis=1)


def _pointer(array: NDArray[np.float32] | None) -> Any:
    if array is None:
        return None
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    return array.ctypes.data_as(_FLOATS)
