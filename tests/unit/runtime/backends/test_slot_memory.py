from __future__ import annotations

import mmap

import numpy as np
import psutil
import pytest

from nanoaccel.runtime.backends.slot_memory import CacheSlots, CacheTensor

INPUTS = [
    CacheTensor(2, 8, np.dtype(np.float32)),
    CacheTensor(3, 4, np.dtype(np.int8)),
]
BLOCK_BYTES = 4 * (2 * 8 * 4 + 3 * 4)


def filled(num_slots: int = 3, slot_blocks: int = 4) -> CacheSlots:
    """Slots in which every number differs from its neighbors."""
    slots = CacheSlots(INPUTS, num_slots, slot_blocks, block_size=4)
    for tensor in slots.tensors:
        tensor[...] = np.arange(tensor.size).reshape(tensor.shape) % 101
    return slots


def content(slots: CacheSlots, block: int) -> bytes:
    out = np.empty(BLOCK_BYTES, np.uint8)
    slots.read(block, out)
    return out.tobytes()


def test_slots_have_a_row_for_each_sequence() -> None:
    slots = CacheSlots(INPUTS, 3, 4, block_size=4)
    assert [tensor.shape for tensor in slots.tensors] == [(3, 2, 16, 8), (3, 3, 16, 4)]
    assert not any(tensor.any() for tensor in slots.tensors)


def test_slots_give_back_what_was_written_and_nothing_else_changes() -> None:
    slots = filled()
    before = {block: content(slots, block) for block in range(12)}
    data = np.arange(BLOCK_BYTES, dtype=np.uint8)
    slots.write(6, data)
    assert content(slots, 6) == data.tobytes()
    assert all(content(slots, block) == before[block] for block in before if block != 6)


def test_slots_read_a_block_where_its_tokens_are() -> None:
    slots = filled()
    keys = np.frombuffer(content(slots, 6)[: 4 * 2 * 8 * 4], np.float32).reshape(2, 4, 8)
    assert (keys == slots.tensors[0][1, :, 8:12]).all()


def test_slots_copy_blocks_from_slot_to_slot() -> None:
    slots = filled()
    expected = [content(slots, block) for block in (1, 2, 3)]
    slots.copy(1, 9, 3)
    assert [content(slots, block) for block in (9, 10, 11)] == expected


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="the system takes nothing back")
def test_slots_give_memory_back_and_keep_the_rest() -> None:
    wide = [CacheTensor(2, 256, np.dtype(np.float32))]
    slots = CacheSlots(wide, 2, 32, block_size=256)  # 32 MB
    slots.tensors[0][...] = 7
    before = psutil.Process().memory_info().rss
    slots.discard(1, 31)
    assert before - psutil.Process().memory_info().rss > 14e6
    assert (slots.tensors[0][0, :, :256] == 7).all()
    assert (slots.tensors[0][1] == 7).all()
    assert not slots.tensors[0][0, :, 256:].any()


def test_slots_reserve_more_than_there_is_memory() -> None:
    huge = [CacheTensor(8, 128, np.dtype(np.float32))]
    slots = CacheSlots(huge, 64, 1024, block_size=32)
    assert slots.tensors[0].nbytes > psutil.virtual_memory().available // 4
    slots.tensors[0][63, 7, -1] = 1.0
    assert slots.tensors[0][63, 7, -1, 5] == 1.0
