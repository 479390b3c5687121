"""A fixed number of cache blocks, and which of them are free."""

from __future__ import annotations

from typing import NewType

BlockId = NewType("BlockId", int)


class BlockPool:
    """Hands out blocks and takes them back; the last one returned goes out first.

    Args:
        capacity: Number of blocks.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._free = [BlockId(block) for block in reversed(range(capacity))]

    @property
    def num_free(self) -> int:
        """Blocks that nobody owns."""
        return len(self._free)

    def take(self, count: int) -> list[BlockId] | None:
        """Give ``count`` blocks, or None (and no block) when fewer are free."""
        if count > len(self._free):
            return None
        return [self._free.pop() for _ in range(count)]

    def give_back(self, blocks: list[BlockId]) -> None:
        """Free blocks that ``take`` gave."""
        self._free.extend(reversed(blocks))
        assert len(self._free) <= self.capacity, "a block was given back twice"

    def check_integrity(self, owned: list[BlockId]) -> None:
        """Assert that each block is either free or owned once."""
        everything = sorted(self._free + owned)
        assert everything == list(range(self.capacity)), "a block was lost or is owned twice"
