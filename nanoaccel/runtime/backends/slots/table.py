"""Which slot holds which blocks, for runtimes whose attention wants a sequence in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from nanoaccel.runtime.backends.block_memory import CacheBlocks
from nanoaccel.runtime.backends.slots.memory import CacheTensor, SlotMemory
from nanoaccel.runtime.types.plan import Int32Array, Int64Array, StepPlan

# Blocks that a slot has room for at first.
_FEWEST = 16


@dataclass(slots=True)
class _Slot:
    """What a slot holds.

    Args:
        blocks: Numbers of the blocks that it is a copy of, in order.
        versions: Their versions then.
        written: Blocks with memory behind them.
        used: When a pass last used it.
    """

    blocks: Int32Array = field(default_factory=lambda: np.empty(0, np.int32))
    versions: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))
    written: int = 0
    used: int = 0


class SlotTable:
    """Keeps sequences where they were in the last pass, so that only what is new is copied.

    A sequence that comes for the first time, or behind others' blocks, is fetched into the slot
    that has most of it, or was used least recently. Blocks that change get another version, and
    are fetched again. After a pass, its tokens are stored in the blocks.

    Args:
        tensors: Keys and values of all layers.
        num_blocks: Blocks of the cache.
        block_size: Tokens of a block.

    Attributes:
        memory: The slots; another object once there are more or longer ones.

    Raises:
        MemoryError: The blocks do not fit.
    """

    def __init__(self, tensors: Sequence[CacheTensor], num_blocks: int, block_size: int) -> None:
        block_bytes = block_size * sum(tensor.token_bytes for tensor in tensors)
        self._tensors, self._block_size = tensors, block_size
        self._blocks = CacheBlocks(num_blocks, block_bytes)
        self._versions = np.zeros(num_blocks, np.int64)
        self._slots: list[_Slot] = []
        self._slot_of_last: dict[int, int] = {}  # by the last block of a sequence
        self._passes = 0
        self.memory = self._new_memory(1, _odd_size(_FEWEST))

    def read(self, block: int, out: np.ndarray) -> None:
        """Copy the content of a block into ``out`` u8[block_bytes]."""
        self._blocks.read(block, out)

    def write(self, block: int, data: np.ndarray) -> None:
        """Replace the content of a block by what ``read`` gave."""
        self._blocks.write(block, data)
        self._versions[block] += 1

    def place(self, plan: StepPlan) -> list[int]:
        """The slot of each sequence of a step, with all of its past in it.

        Raises:
            MemoryError: There are more or longer sequences than ever, and no memory for them.
        """
        ends = plan.past_lens + np.diff(plan.seq_begins)
        self._reserve(len(ends), self._blocks_for(int(ends.max())))
        pasts = [
            table[: self._blocks_for(past)]
            for table, past in zip(_tables(plan), plan.past_lens.tolist(), strict=True)
        ]
        free = set(range(self.memory.num_slots))
        places: list[int | None] = []
        for past in pasts:
            slot = self._slot_of_last.get(int(past[-1])) if len(past) > 0 else None
            if slot in free and self._count_held(slot, past) == len(past):
                free.remove(slot)
                places.append(slot)
            else:
                places.append(None)
        return [
            self._fetch(past, free) if slot is None else slot
            for slot, past in zip(places, pasts, strict=True)
        ]

    def keep(self, plan: StepPlan, places: Sequence[int]) -> None:
        """Store what a step has written into slots in the blocks."""
        self._passes += 1
        size = self._block_size
        ends = (plan.past_lens + np.diff(plan.seq_begins)).tolist()
        for slot, table, past, end in zip(
            places, _tables(plan), plan.past_lens.tolist(), ends, strict=True
        ):
            blocks = table[: self._blocks_for(end)]
            for place in range(past // size, len(blocks)):
                begin, stop = max(past - place * size, 0), min(end - place * size, size)
                self.memory.store(slot, place, int(blocks[place]), begin, stop)
            self._versions[blocks[past // size :]] += 1
            self._hold(slot, blocks)
        self._discard()

    def _fetch(self, past: Int32Array, free: set[int]) -> int:
        """Put the past of a sequence into a free slot."""
        slot = max(free, key=lambda i: (self._count_held(i, past), -self._slots[i].used, -i))
        free.remove(slot)
        held = self._count_held(slot, past)
        if held < len(past):
            self.memory.fetch(slot, held, past[held:])
        self._hold(slot, past)
        return slot

    def _hold(self, slot: int, blocks: Int32Array) -> None:
        """Note what a slot is a copy of."""
        entry = self._slots[slot]
        entry.blocks, entry.versions = blocks.copy(), self._versions[blocks]
        entry.written = max(entry.written, len(blocks))
        entry.used = self._passes
        if len(blocks) > 0:
            self._slot_of_last[int(blocks[-1])] = slot

    def _count_held(self, slot: int, blocks: Int32Array) -> int:
        """How many of a sequence's first blocks a slot has as they are now."""
        entry = self._slots[slot]
        count = min(len(entry.blocks), len(blocks))
        same = entry.blocks[:count] == blocks[:count]
        same &= entry.versions[:count] == self._versions[blocks[:count]]
        return count if same.all() else int(same.argmin())

    def _reserve(self, num_slots: int, slot_blocks: int) -> None:
        """Make room for so many sequences of such a length; what slots hold is fetched again."""
        if num_slots > self.memory.num_slots or slot_blocks > self.memory.slot_blocks:
            self.memory = self._new_memory(
                max(self.memory.num_slots, _power_of_two(num_slots)),
                max(self.memory.slot_blocks, _odd_size(slot_blocks)),
            )

    def _new_memory(self, num_slots: int, slot_blocks: int) -> SlotMemory:
        self._slots = [_Slot() for _ in range(num_slots)]
        self._slot_of_last.clear()
        return SlotMemory(self._tensors, self._blocks, num_slots, slot_blocks, self._block_size)

    def _discard(self) -> None:
        """Keep what slots take below what the blocks take, as far as the pass lets it."""
        excess = sum(entry.written for entry in self._slots) - len(self._versions)
        for slot in sorted(range(len(self._slots)), key=lambda i: self._slots[i].used):
            if excess <= 0:
                return
            entry = self._slots[slot]
            if entry.used < self._passes:
                self._slots[slot] = _Slot(used=entry.used)
            kept = len(self._slots[slot].blocks)
            if entry.written > kept:
                self.memory.discard(slot, kept)
                excess -= entry.written - kept
                self._slots[slot].written = kept

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self._block_size)


def _tables(plan: StepPlan) -> list[Int32Array]:
    """The blocks of each sequence of a step."""
    begins = plan.block_begins.tolist()
    return [plan.block_ids[begin:end] for begin, end in pairwise(begins)]


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def _odd_size(blocks: int) -> int:
    """Blocks of a slot: heads at distances of powers of two would share few places of a cache."""
    return _power_of_two(blocks) + 1
