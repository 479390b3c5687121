"""A folder of files that together never take more than so many bytes."""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from nanoaccel.errors import PromptCacheError
from nanoaccel.runtime.kv.folder_lock import LOCK_NAME, FolderLock

_log = logging.getLogger("nanoaccel.kv")
_BLOCK_NAME = re.compile(r"[0-9a-f]{32}-[0-9a-f]+\.kv")
_UNFINISHED = "unfinished.kv"


class BlockFolder:
    """The files of a prompt cache; the least recently used ones make room for new ones.

    What is there is listed once, when it is opened, and then known without asking the disk. One
    thread may call ``put`` while another calls the rest. The order of use is kept in memory and
    written to the files' modification times when the folder is closed.

    Args:
        path: The folder, made when it is absent.
        max_bytes: What all blocks in it may take, unfinished ones included.

    Raises:
        PromptCacheError: The folder cannot be made or written, or somebody uses it.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path.absolute()
        self._max_bytes = max_bytes
        self._mutex = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._used: set[str] = set()
        self._num_bytes = 0
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self._path, os.W_OK):
                raise PermissionError(errno.EACCES, "it is read-only")
            self._lock = FolderLock(self._path)
            try:
                self._list()
                self._make_room(0)
            except BaseException:
                self._lock.release()
                raise
        except OSError as error:
            raise PromptCacheError(
                f"the prompt cache {path} cannot be used: {error.strerror}",
                "Name a folder on a local disk that you can write to",
            ) from error

    @property
    def num_bytes(self) -> int:
        """What the blocks take, the one being written included."""
        return self._num_bytes

    def path_of(self, name: str) -> Path:
        """Where a file is, if it is there."""
        return self._path / name

    def touch(self, name: str) -> bool:
        """Whether a file is there; asking counts as a use."""
        with self._mutex:
            if name not in self._sizes:
                return False
            self._sizes.move_to_end(name)
            self._used.add(name)
            return True

    def put(self, name: str, size: int, parts: Iterable[bytes | memoryview]) -> None:
        """Write a file that is not there; it appears whole or not at all.

        It is not forced to the disk: what a power cut takes is found damaged later, and a cache
        may lose a block.

        Args:
            name: Its name.
            size: Bytes of all parts together.
            parts: What it consists of.

        Raises:
            OSError: It could not be written; nothing of it is left.
        """
        self._make_room(size)
        unfinished = self._path / _UNFINISHED
        try:
            with open(unfinished, "xb", opener=_open_private) as file:
                for part in parts:
                    file.write(part)
            os.replace(unfinished, self._path / name)
        except OSError:
            unfinished.unlink(missing_ok=True)
            self._count(-size)
            raise
        with self._mutex:
            self._sizes[name] = size
            self._used.add(name)

    def discard(self, name: str) -> None:
        """Delete a file; one that is gone or cannot be deleted is fine."""
        with self._mutex:
            size = self._sizes.pop(name, None)
            self._used.discard(name)
        if size is not None:
            with suppress(OSError):  # then it still takes its bytes
                self._path.joinpath(name).unlink(missing_ok=True)
                self._count(-size)

    def close(self, *, release: bool) -> None:
        """Write the order of use down.

        Args:
            release: Whether others may have the folder now.
        """
        now = time.time_ns()
        with self._mutex:
            used = [name for name in self._sizes if name in self._used]
        for index, name in enumerate(used):
            moment = now + 1000 * index  # most file systems know microseconds
            with suppress(OSError):  # somebody deleted it
                os.utime(self._path / name, ns=(moment, moment))
        if release:
            self._lock.release()

    def _list(self) -> None:
        found, foreign = [], []
        with os.scandir(self._path) as entries:
            for entry in entries:
                if _BLOCK_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    stat = entry.stat(follow_symlinks=False)
                    found.append((stat.st_mtime_ns, entry.name, stat.st_size))
                elif entry.name == _UNFINISHED:
                    os.unlink(entry.path)
                elif entry.name != LOCK_NAME and not entry.is_dir(follow_symlinks=False):
                    foreign.append(entry.path)
        for _, name, size in sorted(found):
            self._sizes[name] = size
            self._num_bytes += size
        if foreign:
            _log.warning("%s is no block of a prompt cache; it is left alone", min(foreign))

    def _make_room(self, size: int) -> None:
        """Delete files until ``size`` more bytes fit, and count them as taken."""
        while True:
            with self._mutex:
                if self._num_bytes + size <= self._max_bytes:
                    self._num_bytes += size
                    return
                if not self._sizes:
                    raise OSError(errno.ENOSPC, "old blocks cannot be deleted")
                name, freed = self._sizes.popitem(last=False)
                self._used.discard(name)
            self._path.joinpath(name).unlink(missing_ok=True)
            self._count(-freed)

    def _count(self, change: int) -> None:
        with self._mutex:
            self._num_bytes += change


def _open_private(path: str, flags: int) -> int:
    # Blocks hold what users wrote: nobody else may read them.
    return os.open(path, flags, 0o600)
