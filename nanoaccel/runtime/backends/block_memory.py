"""The memory of a cache whose blocks each lie in one piece, all layers together."""

from __future__ import annotations

import mmap
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

# Addresses may be reserved far beyond what is free: memory comes with the first write.
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)


class CacheBlocks:
    """Blocks of bytes.

    The operating system gives a page when it is first written, so an empty cache costs nothing.
    Where it has large pages these are asked for: a long context is read a few KB here and there.

    Args:
        num_blocks: Blocks in the cache.
        block_bytes: Bytes of each.

    Attributes:
        rows: u8[num_blocks, block_bytes].

    Raises:
        MemoryError: It does not fit.
    """

    def __init__(self, num_blocks: int, block_bytes: int) -> None:
        memory = reserve(num_blocks * block_bytes)
        if isinstance(memory, mmap.mmap) and hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel without them
                memory.madvise(mmap.MADV_HUGEPAGE)
        self.rows = np.frombuffer(memory, np.uint8).reshape(num_blocks, block_bytes)

    def read(self, block: int, out: NDArray[np.uint8]) -> None:
        """Copy a block into ``out`` u8[block_bytes]."""
        out[...] = self.rows[block]

    def write(self, block: int, data: NDArray[np.uint8]) -> None:
        """Replace a block by what ``read`` gave."""
        self.rows[block] = data


def reserve(size: int) -> mmap.mmap | bytearray:
    """Zeros."""
    if not hasattr(mmap, "MAP_ANONYMOUS"):  # Windows
        return bytearray(size)
    try:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"{size} bytes") from error
