"""What the compiled linears compute, in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from support.native_linear import ALONE, Around, Matrix


def reference(
    matrix: Matrix, x: NDArray[np.float32], around: Around = ALONE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same quantized arithmetic in f64, and the sum of the magnitudes that are added."""
    x = normalized(x, around)
    padded = matrix.groups * matrix.group
    grouped = np.pad(x, ((0, 0), (0, padded - x.shape[1]))).reshape(len(x), matrix.groups, -1)
    most = np.abs(grouped).max(axis=2, keepdims=True)
    inverse = np.divide(np.float32(127), most, out=np.zeros_like(most), where=most > 1e-35)
    q = np.rint(grouped * inverse).astype(np.float64)
    scales = (most / np.float32(127)).astype(np.float64) * (most > 1e-35)
    products = np.einsum("mgk,ngk->mng", q, _centred(matrix))
    weight_scales = _scales(matrix)
    terms = products * weight_scales[None] * scales.transpose(0, 2, 1)
    y, size = terms.sum(axis=2), np.abs(terms).sum(axis=2)
    return finished(y, size, matrix.bias, matrix.gated, around)


def magnitudes(matrix: Matrix, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """The sum of the magnitudes of all products, f64 [rows, outputs], also of those that cancel."""
    padded = matrix.groups * matrix.group
    grouped = np.pad(x, ((0, 0), (0, padded - x.shape[1]))).reshape(len(x), matrix.groups, -1)
    weights = np.abs(_centred(matrix) * _scales(matrix)[:, :, None])
    return np.einsum("mgk,ngk->mn", np.abs(grouped).astype(np.float64), weights)


def finished(
    y: NDArray[np.float64],
    size: NDArray[np.float64],
    bias: NDArray[np.float32] | None,
    gated: bool,
    around: Around,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Products after bias, activation and residual, and the magnitudes that are added.

    The magnitudes of what a factor multiplies grow with it; an activation's slope is below 2, and
    twice the number where it is squared.
    """
    if bias is not None:
        y, size = y + bias, size + np.abs(bias)
    slope = 2 * np.abs(y) + 2 if around.activation == "squared relu" else 2
    active, active_size = activated(around.activation, y), size * slope
    if gated:
        half = y.shape[1] // 2
        gate, up = active[:, :half], y[:, half:]
        active_size = active_size[:, :half] * (1 + np.abs(up)) + size[:, half:] * (1 + np.abs(gate))
        active = gate * up
    if around.residual is not None:
        active, active_size = active + around.residual, active_size + np.abs(around.residual)
    return active, active_size


def activated(kind: str, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """An activation in f64."""
    cube = 0.044715 * y**3
    functions: dict[str, Callable[[], NDArray[np.float64]]] = {
        "none": lambda: y,
        "silu": lambda: y / (1 + np.exp(-y)),
        "gelu": lambda: y * 0.5 * (1 + np.vectorize(math.erf)(y / math.sqrt(2))),
        "tanh gelu": lambda: y * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + cube))),
        "quick gelu": lambda: y / (1 + np.exp(-1.702 * y)),
        "relu": lambda: np.maximum(y, 0),
        "squared relu": lambda: np.maximum(y, 0) ** 2,
    }
    with np.errstate(over="ignore"):
        return functions[kind]()


def normalized(x: NDArray[np.float32], around: Around) -> NDArray[np.float32]:
    """A norm, rounded to f32 where the kernels do; sums are taken in f64."""
    if around.norm is None:
        return x
    if around.centered:
        x = x - x.astype(np.float64).mean(axis=1, keepdims=True).astype(np.float32)
    mean = np.square(x.astype(np.float64)).mean(axis=1, keepdims=True)
    inverse = (1 / np.sqrt(mean + around.epsilon)).astype(np.float32)
    normed: NDArray[np.float32] = x * inverse * around.norm
    return normed if around.norm_bias is None else normed + around.norm_bias


def _scales(matrix: Matrix) -> NDArray[np.float64]:
    """Of each row and group."""
    if matrix.exponents is not None:
        return np.ldexp(float(matrix.factor), matrix.exponents.astype(np.int32) - 127)
    assert matrix.scales is not None
    return _each_group(matrix.scales, matrix.groups).astype(np.float64)


def _centred(matrix: Matrix) -> NDArray[np.float64]:
    """Codes less their zero points, or what they stand for, [N, groups, group]."""
    codes = matrix.codes
    if matrix.bits == 4:
        codes = np.stack([codes & 15, codes >> 4], -1)
    codes = codes.reshape(matrix.outputs, matrix.groups, matrix.group)
    if matrix.exponents is not None:
        return codes.view(ml_dtypes.float4_e2m1fn).astype(np.float64)
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
