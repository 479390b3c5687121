"""The blocks of one sequence."""

from __future__ import annotations

import numpy as np

from nanoaccel.runtime.kv.block_pool import BlockId
from nanoaccel.runtime.kv.prefix_cache import PrefixNode
from nanoaccel.runtime.types.plan import Int32Array


class BlockTable:
    """The blocks of one sequence, in the order of its tokens.

    The first ``len(nodes)`` of them are full and were put into the prefix cache, or found there;
    the others are the sequence's own.

    Args:
        root: What its first block continues.
    """

    def __init__(self, root: PrefixNode) -> None:
        self.root = root
        self.count = 0
        self.nodes: list[PrefixNode] = []
        self.num_dropped = 0  # tokens of blocks that were taken out
        self.ids: Int32Array = np.empty(16, np.int32)

    @property
    def last(self) -> PrefixNode:
        """What its next full block continues."""
        return self.nodes[-1] if self.nodes else self.root

    def append(self, blocks: list[BlockId]) -> None:
        """Add blocks at the end."""
        end = self.count + len(blocks)
        if end > self.ids.size:
            longer = np.empty(2 * end, np.int32)
            longer[: self.count] = self.ids[: self.count]
            self.ids = longer
        self.ids[self.count : end] = blocks
        self.count = end

    def private(self) -> list[BlockId]:
        """The blocks that are the sequence's own."""
        return [BlockId(block) for block in self.ids[len(self.nodes) : self.count].tolist()]

    def cut(self, count: int) -> list[BlockId]:
        """Take off the blocks from index ``count`` on, which are its own."""
        assert count >= len(self.nodes), "a shared block is cut off"
        gone = [BlockId(block) for block in self.ids[count : self.count].tolist()]
        self.count = min(count, self.count)
        return gone

    def remove(self, indices: list[int]) -> None:
        """Take out the blocks at ascending indices; the others close up."""
        kept = np.delete(self.ids[: self.count], indices)
        self.count = len(kept)
        self.ids[: self.count] = kept
        gone = {index for index in indices if index < len(self.nodes)}
        self.nodes = [node for index, node in enumerate(self.nodes) if index not in gone]
