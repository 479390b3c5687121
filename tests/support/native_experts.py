"""The compiled mixture of experts, called without ONNX Runtime, and what it computes in numpy."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.linear_reference import magnitudes, reference
from support.native_linear import Matrix, StoredMatrix, pack, random_matrix

from nanoaccel.runtime.native import find_operators


class _Source(ctypes.Structure):
    _fields_ = (
        *[(name, ctypes.c_int64) for name in ("experts", "hidden", "inner", "bits", "group")],
        ("gate_up", StoredMatrix),
        ("down", StoredMatrix),
    )


class _Call(ctypes.Structure):
    _fields_ = (
        *[(name, ctypes.c_void_p) for name in ("x", "logits", "y")],
        *[(name, ctypes.c_int64) for name in ("rows", "top_k")],
        *[(name, ctypes.c_float) for name in ("alpha", "beta", "limit")],
    )


@dataclass(frozen=True, slots=True, eq=False)
class Experts:
    """A layer.

    Args:
        gate_up: Of each expert [2 * inner, hidden]; rows are gate 0, up 0, gate 1, ...
        down: Of each expert [hidden, inner].
        top_k: Experts of a token.
        alpha, beta, limit: Of the gated unit.
    """

    gate_up: tuple[Matrix, ...]
    down: tuple[Matrix, ...]
    top_k: int = 2
    alpha: float = 1.0
    beta: float = 0.0
    limit: float = np.inf

    @property
    def hidden(self) -> int:
        return self.gate_up[0].inputs

    @property
    def inner(self) -> int:
        return self.down[0].inputs

    def with_(self, **changes: Any) -> Experts:
        return replace(self, **changes)


def random_experts(
    rng: np.random.Generator,
    experts: int,
    hidden: int,
    inner: int,
    *,
    top_k: int = 2,
    clipped: bool = False,
    **kind: Any,
) -> Experts:
    """Random codes and scales.

    Args:
        clipped: Whether the gated unit is that of gpt-oss, else SwiGLU.
        kind: What all matrices are, as ``random_matrix`` takes it.
    """
    return Experts(
        tuple(random_matrix(rng, hidden, 2 * inner, **kind) for _ in range(experts)),
        tuple(random_matrix(rng, inner, hidden, **kind) for _ in range(experts)),
        top_k,
        *((1.702, 1.0, 7.0) if clipped else ()),
    )


class PackedExperts:
    """A layer in the library.

    Raises:
        ValueError: It is malformed; the message is the library's.
    """

    def __init__(self, layer: Experts, **wrong: int) -> None:
        library = find_operators().library
        assert library is not None
        self._library = ctypes.CDLL(str(library))
        self._layer = layer
        first = layer.gate_up[0]
        sizes = {"experts": len(layer.down), "hidden": layer.hidden, "inner": layer.inner}
        sizes |= {"bits": first.bits, "group": first.group, **wrong}
        kept: list[Any] = []  # alive until they are packed
        source = _Source(
            **sizes,
            gate_up=_projection(layer.gate_up, kept),
            down=_projection(layer.down, kept),
        )
        self._packed = pack(self._library, "experts", source)

    def run(
        self, path: str, x: NDArray[np.float32], logits: NDArray[np.float32], parts: int = 1
    ) -> NDArray[np.float32]:
        """The result for rows of x, computed in some parts."""
        x, logits = np.ascontiguousarray(x), np.ascontiguousarray(logits)
        layer, y = self._layer, np.full_like(x, np.nan)
        pointers = [array.ctypes.data for array in (x, logits, y)]
        unit = (layer.alpha, layer.beta, layer.limit)
        call = _Call(*pointers, len(x), layer.top_k, *unit)
        done = self._library.nanoaccel_experts_run(
            self._packed, path.encode(), ctypes.byref(call), ctypes.c_int64(parts)
        )
        assert done, f"no path {path}"
        return y

    def __del__(self) -> None:
        if hasattr(self, "_packed"):
            self._library.nanoaccel_experts_free(self._packed)


def _projection(matrices: tuple[Matrix, ...], kept: list[Any]) -> StoredMatrix:
    arrays = {}
    for name in ("codes", "scales", "exponents", "zeros", "bias"):
        if getattr(matrices[0], name) is not None:
            arrays[name] = np.stack([getattr(matrix, name) for matrix in matrices])
    if matrices[0].exponents is not None:
        arrays["factors"] = np.array([matrix.factor for matrix in matrices], np.float32)
    return StoredMatrix.of(kept, **arrays)


def chosen_experts(logits: NDArray[np.float32], top_k: int) -> NDArray[np.int64]:
    """The experts of each row by falling logits; those of equal ones by rising number."""
    return np.argsort(-logits, axis=1, kind="stable")[:, :top_k]


def expert_reference(
    layer: Experts, x: NDArray[np.float32], logits: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same quantized arithmetic in f64, and the sum of the magnitudes that are added."""
    chosen = chosen_experts(logits, layer.top_k)
    picked = np.take_along_axis(logits, chosen, 1).astype(np.float64)
    shares = np.exp(picked - picked[:, :1])
    shares /= shares.sum(axis=1, keepdims=True)
    y, size = np.zeros(x.shape), np.zeros(x.shape)
    for expert, (gate_up, down) in enumerate(zip(layer.gate_up, layer.down, strict=True)):
        rows, slots = np.nonzero(chosen == expert)
        if len(rows) == 0:
            continue
        both, _ = reference(gate_up, x[rows])
        gate = np.minimum(both[:, ::2], layer.limit)
        up = np.clip(both[:, 1::2], -layer.limit, layer.limit) + layer.beta
        inner = gate / (1 + np.exp(-layer.alpha * gate)) * up
        hidden = inner.astype(np.float32)
        part, magnitude = reference(down, hidden)
        y[rows] += shares[rows, slots][:, None] * part
        # A code that rounds the other way counts beside all products, not beside what they leave.
        magnitude = np.maximum(magnitude, magnitudes(down, hidden))
        size[rows] += shares[rows, slots][:, None] * magnitude
    return y, size
