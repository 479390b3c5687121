from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("openvino")

from nanoaccel.runtime.backends.openvino.arena import CacheArena

SIZES = [48, 8, 100]


def test_arena_slices_are_aligned_and_apart() -> None:
    arena = CacheArena(3, SIZES)
    for number, memory in enumerate(arena.slices):
        assert memory.shape == (3, SIZES[number])
        assert memory.ctypes.data % 64 == 0
        memory[...] = number
    assert [int(memory.max()) for memory in arena.slices] == [0, 1, 2]
    assert [int(memory.min()) for memory in arena.slices] == [0, 1, 2]


def test_arena_reads_and_writes_a_block_over_all_slices() -> None:
    arena = CacheArena(3, SIZES)
    content = np.arange(sum(SIZES), dtype=np.uint8)
    arena.write(1, content)
    assert arena.slices[0][1].tolist() == list(range(48))
    assert arena.slices[2][1].tolist() == list(range(56, 156))
    found = np.zeros_like(content)
    arena.read(1, found)
    assert (found == content).all()
    assert not arena.slices[1][[0, 2]].any()


def test_arena_refuses_more_than_there_is() -> None:
    with pytest.raises(MemoryError, match="bytes"):
        CacheArena(1, [1 << 60])
