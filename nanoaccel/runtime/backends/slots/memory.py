"""Slots: keys and values of a sequence, one after the other, copied out of its blocks."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.backends.block_memory import CacheBlocks, reserve


@dataclass(frozen=True, slots=True)
class CacheTensor:
    """Keys or values of a layer.

    Args:
        heads: Heads of a token.
        width: Numbers of a head.
        dtype: Type of the numbers.
    """

    heads: int
    width: int
    dtype: np.dtype[np.generic]

    @property
    def token_bytes(self) -> int:
        """Bytes of a token."""
        return self.heads * self.width * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class _Group:
    """Tensors of one shape, which move together.

    Args:
        pages: Memory of the slots.
        slots: View [tensors, slots, heads, blocks of a slot, tokens of a block, width] of it.
        blocks: View [blocks, tensors, heads, tokens of a block, width] of the blocks.
    """

    pages: mmap.mmap | bytearray
    slots: NDArray[Any]
    blocks: NDArray[Any]


class SlotMemory:
    """Slots, in tensors [slots, heads, tokens, width].

    Args:
        tensors: Keys and values of all layers.
        blocks: Blocks of the cache.
        num_slots: Number of slots.
        slot_blocks: Blocks that a slot has room for.
        block_size: Tokens of a block.

    Attributes:
        tensors: One for each that was named.
        num_slots, slot_blocks: As given.

    Raises:
        MemoryError: It does not fit.
    """

    def __init__(
        self,
        tensors: Sequence[CacheTensor],
        blocks: CacheBlocks,
        num_slots: int,
        slot_blocks: int,
        block_size: int,
    ) -> None:
        self.num_slots, self.slot_blocks = num_slots, slot_blocks
        self.tensors: list[NDArray[Any]] = [np.empty(0)] * len(tensors)
        self._groups: list[_Group] = []
        offset = 0
        for kind in dict.fromkeys(tensors):
            members = [index for index, tensor in enumerate(tensors) if tensor == kind]
            token = (kind.heads, block_size, kind.width)
            size = len(members) * kind.token_bytes * block_size
            pages = reserve(size * num_slots * slot_blocks)
            flat = np.frombuffer(pages, kind.dtype)
            heads = (len(members), num_slots, kind.heads)
            slots = flat.reshape(*heads, slot_blocks, block_size, kind.width)
            rows = blocks.rows[:, offset : offset + size].view(kind.dtype)
            of_blocks = rows.reshape(len(rows), len(members), *token)
            self._groups.append(_Group(pages, slots, of_blocks))
            for place, index in enumerate(members):
                tokens = slot_blocks * block_size
                self.tensors[index] = slots[place].reshape(*heads[1:], tokens, kind.width)
            offset += size

    def fetch(self, slot: int, first: int, blocks: NDArray[Any]) -> None:
        """Copy blocks into a slot, from its block ``first`` on."""
        for group in self._groups:
            target = group.slots[:, slot, :, first : first + len(blocks)]
            target[...] = group.blocks[blocks].transpose(1, 2, 0, 3, 4)

    def store(self, slot: int, place: int, block: int, begin: int, end: int) -> None:
        """Copy tokens ``begin`` to ``end`` of the block at ``place`` of a slot into a block."""
        for group in self._groups:
            target = group.blocks[block, :, :, begin:end]
            target[...] = group.slots[:, slot, :, place, begin:end]

    def discard(self, slot: int, first: int) -> None:
        """Give whole pages of a slot, from a block on, back to the operating system."""
        for group in self._groups:
            if not isinstance(group.pages, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
                continue
            start = group.slots.ctypes.data
            for heads in group.slots[:, slot, :, first:]:
                for head in heads:
                    begin = head.ctypes.data - start
                    low = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
                    high = (begin + head.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
                    if high > low:
                        group.pages.madvise(mmap.MADV_DONTNEED, low, high - low)
