"""GPTQ: integers packed down the input, groups named for each column.

    qweight i32 [in * bits / 32, out]      qzeros i32 [groups, out * bits / 32]
    scales  f16 [groups, out]              g_idx  i32 [in], the group of each column

The first version of the format stores zero points less one; "gptq_v2" stores them as they are.
Layout: https://github.com/ModelCloud/GPTQModel; method: https://arxiv.org/abs/2210.17323.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.source.prequantized.layer import Format, Layer, Weight, unpack
from nanoaccel.exporters.source.prequantized.packed import on_grid

if TYPE_CHECKING:
    from nanoaccel.exporters.source.prequantized.checkpoint import Checkpoint

_BITS = (2, 4, 8)


def _decode(layer: Layer, checkpoint: Checkpoint) -> Weight:
    words = layer.words("qweight")
    bits = _bits(layer, checkpoint)
    integers = unpack(words.T, bits)
    rows, columns = integers.shape
    zeros = layer.words("qzeros")
    count = zeros.shape[0]
    if count == 0 or zeros.shape[1] * 32 != rows * bits:
        raise layer.odd("qzeros", f"{rows * bits // 32} words a row")
    scales = layer.scales("scales", (count, rows)).T
    if checkpoint.format == "gptq":
        zeros = _add_to_each(zeros, bits)
    groups = _groups(layer, checkpoint, columns, count)
    return on_grid(integers, scales, unpack(zeros, bits).T, groups, bits=bits)


def _bits(layer: Layer, checkpoint: Checkpoint) -> int:
    """Layers may differ ("dynamic" in the config); a layer's own tensors tell."""
    if "g_idx" not in layer:
        return checkpoint.bits
    columns: int = max(1, layer.tensor("g_idx").numel())
    bits, rest = divmod(int(layer.words("qweight").shape[0]) * 32, columns)
    if rest or bits not in _BITS:
        raise layer.odd("qweight", f"2, 4 or 8 bits for each of {columns} inputs")
    return bits


def _add_to_each(zeros: NDArray[np.int32], bits: int) -> NDArray[np.int32]:
    """Add one to each packed integer.

    Whole words are added, as their writers subtract whole words: that way even a zero point of
    zero, which borrowed from its neighbor, comes back.
    """
    ones = np.uint32(sum(1 << shift for shift in range(0, 32, bits)))
    added: NDArray[np.uint32] = zeros.view(np.uint32) + ones
    return added.view(np.int32)


def _groups(
    layer: Layer, checkpoint: Checkpoint, columns: int, count: int
) -> NDArray[np.integer[Any]]:
    if "g_idx" not in layer and not checkpoint.desc_act:
        size = columns if checkpoint.group_size is None else checkpoint.group_size
        if size < 1 or -(-columns // size) != count:
            raise layer.odd("scales", f"a row for each {size} of {columns} inputs")
        return np.arange(columns) // size
    groups: NDArray[np.int32] = layer.tensor("g_idx", "int32").numpy()
    if groups.shape != (columns,) or groups.min() < 0 or groups.max() >= count:
        raise layer.odd("g_idx", f"{columns} groups below {count}")
    return groups


GPTQ = Format(frozenset({"qweight", "qzeros", "scales", "g_idx"}), _decode)
