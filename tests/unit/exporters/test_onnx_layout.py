"""How stored matrices are cut into blocks, and what they say of themselves."""

from __future__ import annotations

import numpy as np
import pytest

from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.layout import (
    Blocks,
    block_values,
    block_zero_points,
    blocks_of,
)
from nanoaccel.exporters.targets.onnx.stored import StoredWeight, join


def stored(columns: int, groups: int, *, bits: int = 4, rows: int = 2) -> StoredWeight:
    random = np.random.default_rng(columns)
    return StoredWeight(
        key="w",
        raw=random.integers(0, 256, (rows, columns * bits // 8)).astype(np.uint8),
        columns=columns,
        bits=bits,
        scales=random.random((rows, groups)).astype(np.float16),
        zero_points=random.integers(0, 1 << bits, (rows, groups)).astype(np.uint8),
    )


@pytest.mark.parametrize(
    ("columns", "groups", "expected"),
    [
        (128, 2, Blocks(64, 2, 1)),
        (192, 2, Blocks(32, 6, 3)),
        (96, 2, Blocks(16, 6, 3)),
        (576, 1, Blocks(64, 9, 9)),
        (1024, 1, Blocks(256, 4, 4)),
        (100, 1, Blocks(32, 4, 4)),
    ],
)
def test_blocks_are_the_largest_that_no_group_ends_in(
    columns: int, groups: int, expected: Blocks
) -> None:
    assert blocks_of(stored(columns, groups)) == expected


def test_blocks_of_groups_that_are_too_small_are_refused() -> None:
    with pytest.raises(ExportError, match="groups of 8 weights"):
        blocks_of(stored(64, 8))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("columns", "groups"), [(128, 2), (192, 2), (100, 1)])
def test_blocks_hold_the_numbers_of_the_matrix(columns: int, groups: int, bits: int) -> None:
    weight = stored(columns, groups, bits=bits)
    blocks = blocks_of(weight)
    assert weight.scales is not None
    assert weight.zero_points is not None
    codes = block_values(weight, blocks)
    zeros = block_zero_points(weight.zero_points, bits, blocks)
    if bits == 4:
        codes = np.stack([codes & 15, codes >> 4], -1).reshape(2, blocks.count, blocks.size)
        zeros = np.stack([zeros & 15, zeros >> 4], -1).reshape(2, -1)[:, : blocks.count]
    scales = weight.scales.astype(np.float32).repeat(blocks.repeat, 1)
    made = (codes.astype(np.float32) - zeros[:, :, None]) * scales[:, :, None]
    np.testing.assert_array_equal(made.reshape(2, -1)[:, :columns], weight.dequantize())


def test_stored_rows_joined_are_the_matrix_again() -> None:
    weight = stored(64, 2, rows=5)
    parts = [weight.slice(0, 2), weight.slice(2, 5)]
    assert len({weight.form(), *(part.form() for part in parts)}) == 1
    np.testing.assert_array_equal(join(parts).dequantize(), weight.dequantize())
    assert weight.slice(0, 5) is weight


def test_stored_matrices_of_other_layout_have_another_form() -> None:
    forms = {stored(64, 2).form(), stored(64, 4).form(), stored(64, 2, bits=8).form()}
    assert len(forms) == 3
