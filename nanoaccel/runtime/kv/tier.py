"""What a second home for cold blocks offers, and what it needs from the memory of the first."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.kv.block_pool import BlockId


class BlockTier(Protocol):
    """A slower, larger store of block contents, by key (see ``prefix_cache.block_key``)."""

    def has(self, key: bytes) -> bool:
        """Whether ``load`` is worth a try."""
        ...

    def load(self, key: bytes, tokens: bytes, block: BlockId) -> bool:
        """Fill a block with what was saved.

        Args:
            key: Key of the block.
            tokens: The block's own tokens, little-endian i32; they must be the ones saved.
            block: Where to.

        Returns:
            False when it is absent, damaged or of other tokens; the block's content is then
            unspecified.
        """
        ...

    def save(self, key: bytes, tokens: bytes, block: BlockId) -> bool:
        """Copy the content of a block before this returns; never raises.

        Returns:
            False when it was not taken (no room, or busy).
        """
        ...

    def drain(self) -> None:
        """Wait, within reason, until what was saved is where it survives the process."""
        ...


class BlockMemory(Protocol):
    """The memory behind the blocks, as bytes; a backend is one."""

    @property
    def block_bytes(self) -> int:
        """Bytes of a block, all layers."""
        ...

    def read_block(self, block: BlockId, out: NDArray[np.uint8]) -> None:
        """Copy the content of a block, all layers, into ``out`` u8[block_bytes]."""
        ...

    def write_block(self, block: BlockId, data: NDArray[np.uint8]) -> None:
        """Replace the content of a block by ``data`` u8[block_bytes]."""
        ...
