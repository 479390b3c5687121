"""AWQ, "gemm": integers packed along the output, in an order made for a GPU's instructions.

    qweight i32 [in, out / 8]      qzeros i32 [groups, out / 8]      scales f16 [groups, out]

Layout: https://github.com/casper-hansen/AutoAWQ; method: https://arxiv.org/abs/2306.00978.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.source.prequantized.layer import Format, Layer, Weight, unpack
from nanoaccel.exporters.source.prequantized.packed import on_grid

if TYPE_CHECKING:
    from nanoaccel.exporters.source.prequantized.checkpoint import Checkpoint

_PLACES = [0, 4, 1, 5, 2, 6, 3, 7]  # where in its word each of eight outputs is


def _decode(layer: Layer, checkpoint: Checkpoint) -> Weight:
    integers = _unpack(layer.words("qweight"))
    columns, rows = integers.shape
    zeros = layer.words("qzeros")
    count = zeros.shape[0]
    if zeros.shape[1] * 8 != rows or count == 0 or columns % count:
        raise layer.odd("qzeros", f"a divisor of {columns} rows, {rows // 8} columns")
    if columns // count != (checkpoint.group_size or columns):
        raise layer.odd("qzeros", f"a row for each {checkpoint.group_size} of {columns} inputs")
    scales = layer.scales("scales", (count, rows))
    groups = np.arange(columns) // (columns // count)
    packed = np.ascontiguousarray(integers.T)
    return on_grid(packed, scales.T, _unpack(zeros).T, groups, bits=4)


def _unpack(words: NDArray[np.int32]) -> NDArray[np.uint8]:
    """i32 [n, out / 8] to u8 [n, out]."""
    rows, columns = words.shape
    return unpack(words, 4).reshape(rows, columns, 8)[:, :, _PLACES].reshape(rows, -1)


AWQ = Format(frozenset({"qweight", "qzeros", "scales"}), _decode)
