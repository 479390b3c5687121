"""Cache memory without a backend, and block contents that can be known from their key."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.kv import BlockId


class FakeMemory:
    """Blocks of bytes.

    Args:
        block_bytes: Size of a block.
        num_blocks: How many there are.
    """

    def __init__(self, block_bytes: int, num_blocks: int = 2) -> None:
        self.block_bytes = block_bytes
        self.blocks = np.zeros((num_blocks, block_bytes), np.uint8)

    def read_block(self, block: BlockId, out: NDArray[np.uint8]) -> None:
        out[:] = self.blocks[block]

    def write_block(self, block: BlockId, data: NDArray[np.uint8]) -> None:
        self.blocks[block] = data


def key_of(number: int) -> bytes:
    """A key as the prefix cache makes them."""
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def tokens_of(key: bytes) -> bytes:
    """The tokens that a test's block of this key stands for."""
    return key[:12]


def content_of(key: bytes, size: int) -> NDArray[np.uint8]:
    """What a test's block of this key holds."""
    return np.frombuffer(hashlib.shake_128(key).digest(size), np.uint8)
