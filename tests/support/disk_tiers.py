"""Disk tiers over blocks whose content can be known from their key."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.block_memory import FakeMemory, content_of, key_of, tokens_of

from nanoaccel.runtime.kv import BlockId
from nanoaccel.runtime.kv.disk_tier import DiskTier

SOURCE, TARGET = BlockId(0), BlockId(1)
LOCK = "nanoaccel.lock"


class Shelf:
    """A tier whose blocks are numbers.

    Args:
        folder: Of the tier.
        identity: Of the tier.
        block_bytes: Size of a block.
        max_bytes: Of the tier.
        clock: Of the tier.
        options: Further ones of the tier.
    """

    def __init__(
        self,
        folder: Path,
        *,
        identity: str = "model",
        block_bytes: int = 64,
        max_bytes: int = 1 << 20,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        self.folder = folder
        self.memory = FakeMemory(block_bytes)
        self.tier = DiskTier(
            folder,
            identity=identity,
            max_bytes=max_bytes,
            memory=self.memory,
            clock=clock,
            **options,
        )

    def has(self, number: int) -> bool:
        return self.tier.has(key_of(number))

    def save(self, number: int) -> bool:
        """Save a block; its buffer in the memory is used for something else at once."""
        key = key_of(number)
        self.memory.blocks[SOURCE] = content_of(key, self.memory.block_bytes)
        taken = self.tier.save(key, tokens_of(key), SOURCE)
        self.memory.blocks[SOURCE] = 0
        return taken

    def load(self, number: int) -> bool:
        """Load a block; what is served is what was saved, or nothing."""
        key = key_of(number)
        self.memory.blocks[TARGET] = 7
        served = self.tier.load(key, tokens_of(key), TARGET)
        expected = content_of(key, self.memory.block_bytes) if served else 7
        assert (self.memory.blocks[TARGET] == expected).all()
        return served

    def save_all(self, *numbers: int) -> None:
        """Save blocks in this order and wait until they are written."""
        for number in numbers:
            done = self.tier.stats.saves + 1
            assert self.save(number)
            wait_until(lambda done=done: self.tier.stats.saves == done, "a write")

    def loadable(self, *numbers: int) -> list[int]:
        """Which of these blocks are served."""
        return [number for number in numbers if self.load(number)]

    def close(self) -> None:
        self.tier.close()


OpenShelf = Callable[..., Shelf]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for another thread; fails when it takes too long."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(0.0005)


def block_files(folder: Path) -> list[Path]:
    """All files of a folder but its lock."""
    return sorted(path for path in folder.iterdir() if path.name != LOCK)


def size_of(folder: Path) -> int:
    """Bytes of all files of a folder but its lock."""
    return sum(path.stat().st_size for path in block_files(folder))


def file_bytes(tmp_path: Path, block_bytes: int = 64) -> int:
    """Size of the file of one block."""
    shelf = Shelf(tmp_path / "measure", block_bytes=block_bytes)
    shelf.save(0)
    shelf.close()
    return size_of(tmp_path / "measure")
