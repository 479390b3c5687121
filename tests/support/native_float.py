"""The compiled float linear, called without ONNX Runtime, and what it computes in numpy."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from support.linear_reference import finished, normalized
from support.native_linear import ALONE, Around, StoredMatrix, pack

from nanoaccel.runtime.native import find_operators

FORMATS = ("f32", "f16", "bf16", "nibbles", "bytes")  # of packed weights
STORED = ("f32", "f16", "bf16", "integers", "nf4", "fp4")
_FLOATS = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
NF4 = np.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
        -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
        0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
        0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ],
    np.float32,
)  # fmt: skip
_FP4 = np.array([0, 0.0052083333, 2 / 3, 1, 1 / 3, 0.5, 1 / 6, 0.25], np.float32)
TABLES = {"nf4": NF4, "fp4": np.concatenate([_FP4, -_FP4])}


class _Source(ctypes.Structure):
    _fields_ = (
        *[
            (name, ctypes.c_int64)
            for name in ("inputs", "outputs", "stored", "rows", "bits", "group", "gated")
        ],
        ("matrix", StoredMatrix),
    )


@dataclass(frozen=True, slots=True, eq=False)
class FloatMatrix:
    """A matrix of a float linear, as a file has it.

    Args:
        weights: What it stands for, f32 [N, K].
        stored: One of ``STORED``.
        values: Its bytes.
        rows: Whether floats are [N, K], else [K, N].
        bits: Of codes.
        group: Of codes.
        scales: f32 or f16, of codes.
        zeros: u8, of codes.
        bias: f32 [N].
        gated: Whether the halves of the rows are gates and up projections.
    """

    weights: NDArray[np.float32]
    stored: str
    values: NDArray[np.uint8]
    rows: bool = False
    bits: int = 0
    group: int = 0
    scales: NDArray[Any] | None = None
    zeros: NDArray[np.uint8] | None = None
    bias: NDArray[np.float32] | None = None
    gated: bool = False

    @property
    def width(self) -> int:
        """Columns of the result."""
        return len(self.weights) // (2 if self.gated else 1)

    def with_(self, **changes: Any) -> FloatMatrix:
        return replace(self, **changes)


def float_matrix(
    weights: NDArray[np.float32], stored: str = "f32", *, rows: bool = False, **more: Any
) -> FloatMatrix:
    """A matrix of floats, rounded to the type that it is stored in."""
    kept = weights.astype(_FLOATS[stored])
    laid = np.ascontiguousarray(kept if rows else kept.T)
    return FloatMatrix(kept.astype(np.float32), stored, laid.view(np.uint8), rows, **more)


def code_matrix(
    rng: np.random.Generator,
    inputs: int,
    outputs: int,
    stored: str,
    *,
    bits: int = 4,
    group: int = 32,
    zeros: bool = False,
    half: bool = True,
    **more: Any,
) -> FloatMatrix:
    """Random codes: integers in MatMulNBits' layout, others in MatMulBnb4's."""
    groups = -(-inputs // group)
    codes = rng.integers(0, 1 << bits, (outputs, groups, group), np.uint8)
    scales = rng.uniform(0.5, 1.5, (outputs, groups)).astype(np.float32) / 64
    scales = scales.astype(np.float16) if half else scales
    points = rng.integers(0, 1 << bits, (outputs, groups), np.uint8) if zeros else None
    middle = np.uint8(1 << bits - 1) if points is None else points[:, :, None]
    if stored == "integers":
        numbers = codes.astype(np.float32) - np.asarray(middle).astype(np.float32)
    else:
        numbers = TABLES[stored][codes]
    weights = (numbers * scales[:, :, None].astype(np.float32)).reshape(outputs, -1)[:, :inputs]
    if bits == 4:
        earlier, later = codes[..., ::2], codes[..., 1::2]
        low, high = (earlier, later) if stored == "integers" else (later, earlier)
        codes = low | high << 4
        if points is not None:
            points = np.pad(points, ((0, 0), (0, groups % 2)))
            points = points[:, ::2] | points[:, 1::2] << 4
    return FloatMatrix(
        weights, stored, codes, True, bits=bits, group=group, scales=scales, zeros=points, **more
    )


class PackedFloat:
    """A matrix in the library.

    Raises:
        ValueError: It is malformed; the message is the library's.
    """

    def __init__(self, matrix: FloatMatrix) -> None:
        library = find_operators().library
        assert library is not None
        self._library = ctypes.CDLL(str(library))
        self._library.nanoaccel_float_format.restype = ctypes.c_int64
        self._matrix = matrix
        outputs, inputs = matrix.weights.shape
        stored = STORED.index(matrix.stored)
        kept: list[NDArray[Any]] = []
        arrays = {name: getattr(matrix, name) for name in ("scales", "zeros", "bias")}
        sizes = (inputs, outputs, stored, matrix.rows, matrix.bits, matrix.group, matrix.gated)
        source = _Source(*sizes, StoredMatrix.of(kept, codes=matrix.values, **arrays))
        self._packed = pack(self._library, "float", source)

    @property
    def format(self) -> str:
        """One of ``FORMATS``."""
        return FORMATS[self._library.nanoaccel_float_format(self._packed)]

    def run(
        self, path: str, x: NDArray[np.float32], around: Around = ALONE, *, parts: int = 1
    ) -> NDArray[np.float32]:
        """The result for rows of x, computed in some parts."""
        y = np.full((len(x), self._matrix.width), np.nan, np.float32)
        done = self._library.nanoaccel_float_run(
            self._packed,
            path.encode(),
            ctypes.c_void_p(x.ctypes.data),
            ctypes.c_int64(len(x)),
            ctypes.byref(around.native()),
            ctypes.c_void_p(y.ctypes.data),
            ctypes.c_int64(parts),
        )
        assert done, f"no path {path}"
        return y

    def __del__(self) -> None:
        if hasattr(self, "_packed"):
            self._library.nanoaccel_float_free(self._packed)


def reference(
    matrix: FloatMatrix, x: NDArray[np.float32], around: Around = ALONE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same arithmetic in f64, and the sum of the magnitudes that are added."""
    x = normalized(x, around)
    weights, numbers = matrix.weights.astype(np.float64), x.astype(np.float64)
    size = np.abs(numbers) @ np.abs(weights).T
    return finished(numbers @ weights.T, size, matrix.bias, matrix.gated, around)
