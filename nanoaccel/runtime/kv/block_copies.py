"""Copies of blocks, by what every backend can do: read one, and write one."""

from __future__ import annotations

import numpy as np

from nanoaccel.runtime.kv.block_pool import BlockId
from nanoaccel.runtime.kv.tier import BlockMemory


class BlockCopies:
    """Copies blocks.

    Args:
        memory: Holds them.
    """

    def __init__(self, memory: BlockMemory) -> None:
        self._memory = memory
        self._content = np.empty(memory.block_bytes, np.uint8)

    def copy(self, source: BlockId, target: BlockId) -> None:
        """Replace the content of ``target`` by that of ``source``."""
        self._memory.read_block(source, self._content)
        self._memory.write_block(target, self._content)
