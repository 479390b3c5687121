"""The paged cache: each sequence owns a list of blocks, which grows as it does."""

from __future__ import annotations

import numpy as np

from nanoaccel.runtime.kv.block_pool import BlockId, BlockPool
from nanoaccel.runtime.plan import Int32Array


class PagedCache:
    """Block tables of all sequences (Kwon et al. 2023, PagedAttention).

    It keeps numbers only; the memory behind the blocks belongs to the backend.

    Args:
        num_blocks: Blocks that the backend has allocated.
        block_size: Tokens in a block.
    """

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.block_size = block_size
        self._pool = BlockPool(num_blocks)
        self._tables: dict[int, list[BlockId]] = {}

    @property
    def capacity(self) -> int:
        """Tokens that fit in all."""
        return self._pool.capacity * self.block_size

    @property
    def num_free(self) -> int:
        """Blocks that no sequence owns."""
        return self._pool.num_free

    def allocate(self, sequence: int, length: int) -> bool:
        """Make room for the first ``length`` tokens of a sequence.

        Returns:
            False, with nothing changed, when too few blocks are free.
        """
        table = self._tables.get(sequence, [])
        missing = self.blocks_for(length) - len(table)
        if missing > 0:
            blocks = self._pool.take(missing)
            if blocks is None:
                return False
            self._tables[sequence] = table + blocks
        return True

    def blocks_for(self, length: int) -> int:
        """Blocks that ``length`` tokens need."""
        return -(-length // self.block_size)

    def block_ids(self, sequence: int, length: int) -> Int32Array:
        """The blocks, i32[n], that hold the first ``length`` tokens of a sequence."""
        return np.array(self._tables[sequence][: self.blocks_for(length)], dtype=np.int32)

    def free(self, sequence: int) -> None:
        """Give back all blocks of a sequence; one that owns none is fine."""
        self._pool.give_back(self._tables.pop(sequence, []))

    def check_integrity(self) -> None:
        """Assert that no block is lost or owned twice."""
        self._pool.check_integrity([b for table in self._tables.values() for b in table])
