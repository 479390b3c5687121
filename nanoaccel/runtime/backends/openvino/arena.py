"""The memory of the whole cache: one allocation, a slice of it for each key and value cache."""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ALIGNMENT = 64  # bytes of a cache line, and of the widest vector


class CacheArena:
    """Blocks that lie in several slices, one for each layer's keys and one for its values.

    The operating system gives a page when it is first written, so an empty cache costs nothing.
    The memory is returned when the arena and all views of it are gone.

    Args:
        num_blocks: Blocks in the cache.
        block_sizes: Bytes that a block has in each slice.

    Attributes:
        slices: u8[num_blocks, size] for each of ``block_sizes``, aligned to cache lines.

    Raises:
        MemoryError: It does not fit.
    """

    def __init__(self, num_blocks: int, block_sizes: Sequence[int]) -> None:
        begins, total = [], 0
        for size in block_sizes:
            begins.append(total)
            total += -(-num_blocks * size // _ALIGNMENT) * _ALIGNMENT
        memory = _reserve(total)
        self.slices = [
            memory[begin : begin + num_blocks * size].reshape(num_blocks, size)
            for begin, size in zip(begins, block_sizes, strict=True)
        ]
        ends = np.cumsum(block_sizes).tolist()
        indices = map(slice, [0, *ends[:-1]], ends)
        self._parts = list(zip(self.slices, indices, strict=True))

    def read(self, block: int, out: NDArray[np.uint8]) -> None:
        """Copy a block, slice after slice, into ``out`` u8[sum of block_sizes]."""
        for rows, index in self._parts:
            out[index] = rows[block]

    def write(self, block: int, data: NDArray[np.uint8]) -> None:
        """Replace a block by ``data`` u8[sum of block_sizes]."""
        for rows, index in self._parts:
            rows[block] = data[index]


def _reserve(size: int) -> NDArray[np.uint8]:
    # numpy asks for huge pages: the first block would then commit 2 MiB of every slice.
    if size == 0 or not hasattr(mmap, "MAP_ANONYMOUS"):  # Windows
        return np.empty(size, np.uint8)
    try:
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"{size} bytes") from error
    return np.frombuffer(pages, np.uint8)
