"""The memory of the cache: a tensor for each layer's keys and values, a row of it for each slot."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Addresses may be reserved far beyond what is free: memory comes with the first write.
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)


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


class CacheSlots:
    """Slots of blocks, in tensors [slots, heads, slot_blocks * block_size, width].

    Args:
        kinds: Keys and values of all layers.
        num_slots: Sequences.
        slot_blocks: Blocks of each.
        block_size: Tokens of a block.

    Attributes:
        tensors: One for each kind.

    Raises:
        MemoryError: It does not fit.
    """

    def __init__(
        self, kinds: Sequence[CacheTensor], num_slots: int, slot_blocks: int, block_size: int
    ) -> None:
        self.slot_blocks = slot_blocks
        self.capacity = slot_blocks * block_size
        self._pages = []
        self.tensors = []
        for item in kinds:
            shape = (num_slots, item.heads, self.capacity, item.width)
            pages = reserve(int(np.prod(shape)) * item.dtype.itemsize)
            self._pages.append(pages)
            self.tensors.append(np.frombuffer(pages, item.dtype).reshape(shape))
        self._block_size = block_size
        ends = np.cumsum([item.token_bytes * block_size for item in kinds]).tolist()
        self._places = [slice(*index) for index in zip([0, *ends[:-1]], ends, strict=True)]

    def read(self, block: int, out: NDArray[np.uint8]) -> None:
        """Copy a block, kind after kind, into ``out`` u8[bytes of a block]."""
        for rows, index in zip(self._rows(block, 1), self._places, strict=True):
            out[index].view(rows.dtype).reshape(rows.shape)[...] = rows

    def write(self, block: int, data: NDArray[np.uint8]) -> None:
        """Replace a block by what ``read`` gave."""
        for rows, index in zip(self._rows(block, 1), self._places, strict=True):
            rows[...] = data[index].view(rows.dtype).reshape(rows.shape)

    def copy(self, source: int, target: int, count: int) -> None:
        """Copy following blocks of a slot to others."""
        pairs = zip(self._rows(source, count), self._rows(target, count), strict=True)
        for rows, others in pairs:
            others[...] = rows

    def discard(self, first: int, count: int) -> None:
        """Give whole pages behind following blocks back to the operating system."""
        for pages, tensor, rows in zip(
            self._pages, self.tensors, self._rows(first, count), strict=True
        ):
            if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                for head in rows:
                    begin = head.ctypes.data - tensor.ctypes.data
                    low = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
                    high = (begin + head.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
                    if high > low:
                        pages.madvise(mmap.MADV_DONTNEED, low, high - low)

    def _rows(self, block: int, count: int) -> list[NDArray[np.generic]]:
        """Views [heads, count * block_size, width] of following blocks, a kind each."""
        slot, index = divmod(block, self.slot_blocks)
        begin = index * self._block_size
        end = begin + count * self._block_size
        return [tensor[slot, :, begin:end] for tensor in self.tensors]


def reserve(size: int) -> mmap.mmap | bytearray:
    """Zeros."""
    if not hasattr(mmap, "MAP_ANONYMOUS"):  # Windows
        return bytearray(size)
    try:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"{size} bytes") from error
