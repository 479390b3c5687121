"""Large matrices are compressed some rows at a time, because NNCF computes with them in f32.

Of the matrices of experts some are compressed at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import openvino as ov

Allocate: TypeAlias = Callable[["ov.Type", Sequence[int]], "ov.Tensor"]

_NUMBERS = 1 << 24  # of a matrix that are compressed at once
_FIELDS = ("tensor", "scale", "zero_point")  # of what NNCF makes of a matrix
_ALIGNED = 8  # numbers, so that no part of packed codes begins inside a byte
# Modes whose scales stand for more than a row.
_WHOLE = ("NVFP4", "CB4", "CODEBOOK", "ADAPTIVE_CODEBOOK")


def by_rows(compress: Callable[..., Any], allocate: Allocate) -> Callable[..., Any]:
    """NNCF's ``compress_weight``, for which a matrix with the vocabulary's rows is not too large.

    It compiles a graph for each kind of matrix, and NNCF one for each matrix: what such a graph
    gives lies in its own memory, where the next one would be written, so it is copied.

    Args:
        compress: NNCF's function.
        allocate: Gives a tensor of a type and a shape, for the codes of all rows.
    """

    def compress_weight(weight: Any, axes: Any, config: Any, precomputed: Any = None) -> Any:
        count, rows = _rows_at_once(weight, axes, config), weight.shape[0]
        if count is None or precomputed is not None:
            with _compiled_once():
                return _copy(compress(weight, axes, config, precomputed), allocate)
        parts = []
        for begin in range(0, rows, count):
            some = _slice(weight, begin, min(begin + count, rows))
            with _compiled_once():
                parts.append(_copy(compress(some, axes, config, None), _in_memory))
        joined = {name: _join([getattr(one, name) for one in parts], allocate) for name in _FIELDS}
        return type(parts[0])(**joined)

    return compress_weight


@contextmanager
def _compiled_once() -> Iterator[None]:
    """Let NNCF use a compiled graph for all matrices of one kind inside the block."""
    from nncf.openvino.optimized_functions.models import OV_MODEL_CACHE

    kept = OV_MODEL_CACHE.enabled()
    OV_MODEL_CACHE.enable()
    try:
        yield
    finally:
        if not kept:
            OV_MODEL_CACHE.disable()


def _copy(compressed: Any, allocate: Allocate) -> Any:
    """A compressed weight of NNCF with tensors of its own."""
    from nncf.tensor import Tensor

    for name in _FIELDS:
        tensor = getattr(compressed, name)
        if tensor is not None:
            setattr(compressed, name, Tensor(_copy_of(tensor.data, allocate)))
    return compressed


def _copy_of(data: Any, allocate: Allocate) -> Any:
    import openvino as ov

    if not isinstance(data, ov.Tensor):
        return data.copy()
    copy = allocate(data.get_element_type(), list(data.shape))
    copy.data.ravel().view(np.uint8)[:] = data.data.ravel().view(np.uint8)
    return copy


def _in_memory(kind: ov.Type, shape: Sequence[int]) -> ov.Tensor:
    import openvino as ov

    return ov.Tensor(kind, ov.Shape(list(shape)))


def _rows_at_once(weight: Any, axes: Any, config: Any) -> int | None:
    """Rows to compress at once; None where it must be all, or can be."""
    shape = tuple(weight.shape)
    sums = {axis % len(shape) for axis in ([axes] if isinstance(axes, int) else axes)}
    if 0 in sums or config.mode.name in _WHOLE or math.prod(shape) <= 2 * _NUMBERS:
        return None
    numbers = math.prod(shape[1:])
    aligned = _ALIGNED // math.gcd(_ALIGNED, numbers)
    count = max(aligned, _NUMBERS // numbers // aligned * aligned)
    return count if count < shape[0] else None


def _slice(weight: Any, begin: int, end: int) -> Any:
    """Rows of a tensor of NNCF over one of OpenVINO; they are not copied."""
    import openvino as ov
    from nncf.tensor import Tensor

    data = weight.data.data[begin:end]
    kind = weight.data.get_element_type()
    return Tensor(ov.Tensor(data, ov.Shape(list(data.shape)), kind))


def _join(parts: Sequence[Any], allocate: Allocate) -> Any:
    """Tensors of NNCF, one behind the other."""
    import openvino as ov
    from nncf.tensor import Tensor

    first = parts[0]
    if first is None:
        return None
    if not isinstance(first.data, ov.Tensor):
        return Tensor(np.concatenate([one.data for one in parts]))
    shape = [sum(one.shape[0] for one in parts), *first.shape[1:]]
    whole = allocate(first.data.get_element_type(), shape)
    octets = [one.data.data.ravel().view(np.uint8) for one in parts]
    np.concatenate(octets, out=whole.data.ravel().view(np.uint8))
    return Tensor(whole)
