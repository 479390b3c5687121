"""Tables of a rotary embedding belong to one of the model's rotations."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx_ir")

from nanoaccel.exporters.targets.onnx.passes.rotary_caches import most_like
from nanoaccel.exporters.targets.onnx.rotation import Rotation


def rotation(base: float, size: int = 32) -> Rotation:
    return Rotation((1.0 / base ** (np.arange(size) / size)).astype(np.float32), 1.0)


def tables(one: Rotation, rows: int = 64, scale: float = 1.19) -> tuple[np.ndarray, np.ndarray]:
    angles = np.arange(rows, dtype=np.float32)[:, None] * one.frequencies
    factor = np.float32(scale)
    return np.cos(angles) * factor, np.sin(angles) * factor


def test_tables_get_the_rotation_that_is_most_like_theirs() -> None:
    known = [rotation(1e4), rotation(1e6), rotation(1e6, 16)]
    for one in known:
        assert most_like(known, *tables(one)) is one
    # The builder may compute them a little differently.
    assert most_like(known, *tables(rotation(1.1e6))) is known[1]


def test_tables_of_no_rotation_stay() -> None:
    assert most_like([], *tables(rotation(1e4))) is None
    assert most_like([rotation(1e4, 16)], *tables(rotation(1e4))) is None
    assert most_like([rotation(1e4)], *tables(rotation(1e4), rows=1)) is None
