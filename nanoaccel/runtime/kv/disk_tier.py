"""Cold cache blocks on disk: they survive memory pressure and restarts."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import PromptCacheError
from nanoaccel.runtime.kv.block_file import BlockFormat
from nanoaccel.runtime.kv.block_folder import BlockFolder
from nanoaccel.runtime.kv.block_pool import BlockId
from nanoaccel.runtime.kv.tier import BlockMemory

_log = logging.getLogger("nanoaccel.kv")
# The queue must take a long sequence that ends at once; it takes memory only as far as it is used.
_QUEUE_LEAST = 2
_QUEUE_MOST = 256
_RETRY_SECONDS = 60.0
_CLOSE_SECONDS = 30.0


@dataclass(slots=True)
class DiskTierStats:
    """What a tier has done; the counters go up while it runs.

    Args:
        loads: Blocks that were served.
        saves: Blocks that were written.
        damaged: Files that were found damaged.
    """

    loads: int = 0
    saves: int = 0
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class _Queued:
    key: bytes
    tokens: bytes
    payload: NDArray[np.uint8]


class DiskTier:
    """Keeps blocks in a folder, one file each, and gives back only what it can prove whole.

    ``save`` copies a block into a buffer and returns; one thread writes. When that fails (disk
    full) there is one warning, and for a minute nothing is saved: a server outlives a full disk,
    and one attempt a minute costs nothing. What is there is served all the time.

    All methods belong to one thread, that of the engine.

    Args:
        folder: Where the files are; made when absent. Tiers of several models may share it one
            after the other, but not at the same time.
        identity: All that decides what the bytes of a block mean: model, layout, precision.
            Blocks that were saved under another identity are not found.
        max_bytes: What all files in the folder may take, whoever wrote them; the least recently
            used ones go first.
        memory: Holds the blocks.
        queue_bytes: Memory for blocks that wait to be written.
        clock: Seconds, for the pause after a failed write.

    Raises:
        PromptCacheError: The folder cannot be used, somebody uses it, or ``max_bytes`` is less
            than a block.
    """

    def __init__(
        self,
        folder: Path,
        *,
        identity: str,
        max_bytes: int,
        memory: BlockMemory,
        queue_bytes: int = 64 << 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        size = memory.block_bytes
        self._format = BlockFormat(identity, size)
        least = self._format.size(b"", b"")
        if max_bytes < least:
            raise PromptCacheError(
                f"the prompt cache {folder} may take {max_bytes} bytes, a block takes {least}",
                "Allow it more, or use none",
            )
        self._memory = memory
        self._max_bytes = max_bytes
        self._clock = clock
        self._folder = BlockFolder(folder, max_bytes)
        self.stats = DiskTierStats()
        self._scratch = np.empty(size, np.uint8)
        buffers = min(max(_QUEUE_LEAST, queue_bytes // size), _QUEUE_MOST)
        self._buffers = list(np.empty((buffers, size), np.uint8))
        self._queue: OrderedDict[str, _Queued] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False
        self._paused_until = float("-inf")
        self._warned: set[str] = set()
        self._writer = threading.Thread(target=self._write_all, name="disk-tier", daemon=True)
        self._writer.start()

    @property
    def num_bytes(self) -> int:
        """What all blocks in the folder take, those of other models included."""
        return self._folder.num_bytes

    def has(self, key: bytes) -> bool:
        """Whether a block is on disk or about to be; asking counts as a use. The disk is not read.

        A file that was damaged meanwhile counts until ``load`` finds out.
        """
        return self._has(self._format.name(key))

    def load(self, key: bytes, tokens: bytes, block: BlockId) -> bool:
        """Copy a block from disk into the memory.

        Args:
            key: What it was saved under.
            tokens: The tokens that it must stand for.
            block: Where it goes.

        Returns:
            False when it is absent, damaged (then its file is deleted) or stands for other tokens;
            the memory is unchanged.
        """
        name = self._format.name(key)
        with self._changed:
            queued = self._queue.get(name)
            if queued is not None:
                return queued.tokens == tokens and self._serve(queued.payload, block)
        if not self._has(name):
            return False
        path = self._folder.path_of(name)
        try:
            verdict = self._format.read(path, key, tokens, self._scratch)
        except FileNotFoundError:
            self._folder.discard(name)
            return False
        except OSError as error:
            self._report_damage(name, f"{path} cannot be read: {error.strerror}")
            return False
        if verdict == "damaged":
            self._report_damage(name, f"{path} is damaged; its block is computed anew")
        return verdict == "good" and self._serve(self._scratch, block)

    def save(self, key: bytes, tokens: bytes, block: BlockId) -> bool:
        """Copy a block out of the memory, to be written soon; never waits for the disk.

        Args:
            key: What it can be found by later.
            tokens: The tokens that it stands for.
            block: Where it is.

        Returns:
            False when it was not taken: too many blocks wait to be written, a write failed less
            than a minute ago, or the tier is closed. True also when it was saved before.
        """
        name = self._format.name(key)
        if self._has(name):
            return True
        fits = self._format.size(key, tokens) <= self._max_bytes
        if self._closed or not fits or self._clock() < self._paused_until:
            return False
        with self._changed:
            if not self._buffers:
                return False
            payload = self._buffers.pop()
        self._memory.read_block(block, payload)
        with self._changed:
            self._queue[name] = _Queued(key, tokens, payload)
            self._changed.notify()
        return True

    def drain(self) -> None:
        """Wait until nothing waits to be written, for half a minute at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue, _CLOSE_SECONDS)

    def close(self) -> None:
        """Write what waits, for half a minute at most, and leave the folder to others.

        Calling it twice is fine; afterwards there is nothing to find and nothing is saved.
        """
        if self._closed:
            return
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._writer.join(_CLOSE_SECONDS)
        with self._changed:
            self._queue.clear()
            self._buffers.clear()
        # A writer that hangs in the system still writes to the folder.
        self._folder.close(release=not self._writer.is_alive())

    def _has(self, name: str) -> bool:
        with self._changed:
            if self._closed:
                return False
            return name in self._queue or self._folder.touch(name)

    def _serve(self, payload: NDArray[np.uint8], block: BlockId) -> bool:
        self._memory.write_block(block, payload)
        self.stats.loads += 1
        return True

    def _report_damage(self, name: str, problem: str) -> None:
        self._folder.discard(name)
        self.stats.damaged += 1
        self._warn_once("damaged", problem)

    def _warn_once(self, kind: str, problem: str) -> None:
        # Logged, not warned: a warning may be turned into an error, and saving never raises.
        if kind not in self._warned:
            self._warned.add(kind)
            _log.warning("prompt cache: %s", problem)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                name, queued = next(iter(self._queue.items()))
            if self._clock() >= self._paused_until:
                self._write(name, queued)
            with self._changed:
                self._queue.pop(name, None)
                self._buffers.append(queued.payload)
                self._changed.notify_all()

    def _write(self, name: str, queued: _Queued) -> None:
        size = self._format.size(queued.key, queued.tokens)
        parts = self._format.encode(queued.key, queued.tokens, queued.payload)
        try:
            self._folder.put(name, size, parts)
            self.stats.saves += 1
        except OSError as error:
            self._paused_until = self._clock() + _RETRY_SECONDS
            self._warn_once("write", f"{self._folder.path_of(name)} cannot be written: {error}")
