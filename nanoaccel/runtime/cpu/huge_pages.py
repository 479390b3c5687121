"""Large pages for what a model loads: a pass over the weights then looks up far fewer addresses.

With pages of 4 kB, the addresses of a model's weights fit no translation buffer, and in a virtual
machine each miss walks two tables. Runtimes allocate with ``malloc``, which asks for no large
pages; Linux can gather later what lies on small ones (MADV_COLLAPSE, from 6.1 on).
"""

from __future__ import annotations

import ctypes
import errno
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from mmap import PAGESIZE
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.cpu.files import read_int, read_text

Span = tuple[int, int]

_SETTINGS = Path("sys/kernel/mm/transparent_hugepage")
# Writable, private, inode 0: memory of no file.
_ANONYMOUS = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0(?: +\[heap\])?[ ]*$", re.MULTILINE
)
_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25
_PRESENT = np.uint64(1 << 63)  # the highest bit of an entry of /proc/self/pagemap
# Large pages that are gathered between two looks at whether to go on.
_AT_ONCE = 16


def large_page_size(root: Path = Path("/")) -> int:
    """Bytes of a large page; 0 where memory cannot be gathered on such.

    Args:
        root: Where /sys is; tests replace it.
    """
    allowed = read_text(root / _SETTINGS / "enabled") or "[never]"
    if sys.platform != "linux" or "[never]" in allowed:
        return 0
    return read_int(root / _SETTINGS / "hpage_pmd_size") or 0


class HugePages:
    """What this process allocates from now on, until ``gather``.

    Args:
        root: Where /proc and /sys are; tests replace it.
        advise: Calls ``madvise(start, bytes, advice)``: the number of its error, 0 for none.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        advise: Callable[[int, int, int], int] | None = None,
    ) -> None:
        self._root = root
        self._advise = _madvise if advise is None else advise
        self._size = large_page_size(root)
        self._before = self._anonymous()

    def gather(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Move it onto large pages where it fills them, so that no more memory is used than before.

        What the system refuses stays as it is. A kernel that cannot do it at once is asked to do
        it in time.

        Args:
            stop: Whether to leave the rest as it is; asked often.

        Returns:
            Bytes that lie on large pages now, or will; 0 where there are none: outside of Linux, or
            where an administrator switched them off.
        """
        gathered = 0
        for start, end in self._full():
            for first in range(start, end, _AT_ONCE * self._size):
                if stop():
                    return gathered
                last = min(end, first + _AT_ONCE * self._size)
                gathered += self._collapse(first, last)
        return gathered

    def _collapse(self, start: int, end: int) -> int:
        error = self._advise(start, end - start, _MADV_COLLAPSE)
        if error == errno.EINVAL:
            error = self._advise(start, end - start, _MADV_HUGEPAGE)
        return end - start if error == 0 else 0

    def _anonymous(self) -> list[Span]:
        """Memory of this process that belongs to no file, ascending."""
        if self._size == 0:
            return []
        maps = read_text(self._root / "proc/self/maps") or ""
        return [(int(found[1], 16), int(found[2], 16)) for found in _ANONYMOUS.finditer(maps)]

    def _full(self) -> Iterator[Span]:
        """What is new and in memory, in whole large pages."""
        for start, end in _without(self._anonymous(), self._before):
            first, last = -(-start // self._size), end // self._size
            full = self._in_memory(first, last)
            edges = np.flatnonzero(np.diff(full, prepend=False, append=False)) + first
            for low, high in edges.reshape(-1, 2).tolist():
                yield low * self._size, high * self._size

    def _in_memory(self, first: int, last: int) -> NDArray[np.bool_]:
        """Whether all small pages of each large one are in memory."""
        small = self._size // PAGESIZE
        entries = np.zeros(max(0, last - first) * small, np.uint64)
        if len(entries) > 0:
            with (
                suppress(OSError),  # it is hidden: as if nothing were there
                (self._root / "proc/self/pagemap").open("rb", buffering=0) as file,
            ):
                file.seek(first * small * entries.itemsize)
                file.readinto(entries.data)
        full: NDArray[np.bool_] = (entries >= _PRESENT).reshape(-1, small).all(axis=1)
        return full


def _without(spans: Iterable[Span], others: Sequence[Span]) -> Iterator[Span]:
    """What of some spans belongs to none of others; both ascend."""
    place = 0
    for start, end in spans:
        while place < len(others) and others[place][0] < end:
            first, last = others[place]
            if start < first:
                yield start, first
            start = max(start, last)
            if last > end:
                break  # it may reach into the next one
            place += 1
        if start < end:
            yield start, end


def _madvise(start: int, size: int, advice: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    failed = libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), ctypes.c_int(advice))
    return ctypes.get_errno() if failed else 0
