from __future__ import annotations

import errno
import mmap
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.cpu.memory import free_memory

LARGE = 2 << 20
SMALL = mmap.PAGESIZE
COLLAPSE, HUGEPAGE = 25, 14
THP = "sys/kernel/mm/transparent_hugepage"

linux = pytest.mark.skipif(sys.platform != "linux", reason="large pages are gathered on Linux")


@dataclass
class Process:
    """A /proc and /sys of one process, and what it asked of madvise."""

    root: Path
    error: int = 0
    asked: list[tuple[int, int, int]] = field(default_factory=list)

    def allow(self, enabled: str = "always [madvise] never") -> None:
        settings = self.root / THP
        settings.mkdir(parents=True)
        (settings / "enabled").write_text(enabled + "\n")
        (settings / "hpage_pmd_size").write_text(f"{LARGE}\n")

    def map(self, *lines: str) -> None:
        (self.root / "proc/self").mkdir(parents=True, exist_ok=True)
        (self.root / "proc/self/maps").write_text("".join(f"{line}\n" for line in lines))

    def fill(self, start: int, end: int) -> None:
        """Have the small pages of a span in memory."""
        path = self.root / "proc/self/pagemap"
        entries = np.zeros(128 * LARGE // SMALL, np.uint64)
        if path.exists():
            entries = np.fromfile(path, np.uint64)
        entries[start // SMALL : end // SMALL] = np.uint64(1 << 63)
        entries.tofile(path)

    def advise(self, start: int, size: int, advice: int) -> int:
        self.asked.append((start // LARGE, size // LARGE, advice))
        return self.error

    def pages(self) -> HugePages:
        return HugePages(self.root, self.advise)

    def take(self, count: int) -> HugePages:
        """What would fill so many large pages is new and in memory."""
        self.allow()
        pages = self.pages()
        self.map(anonymous(0, count * LARGE))
        self.fill(0, count * LARGE)
        return pages


@pytest.fixture
def process(tmp_path: Path) -> Process:
    found = Process(tmp_path)
    found.map()
    return found


def anonymous(start: int, end: int, name: str = "") -> str:
    return f"{start:x}-{end:x} rw-p 00000000 00:00 0 {name}"


@linux
def test_only_what_came_later_and_is_full_is_gathered(process: Process) -> None:
    process.allow()
    process.map(anonymous(2 * LARGE, 10 * LARGE))
    pages = process.pages()
    process.map(anonymous(2 * LARGE, 20 * LARGE), anonymous(30 * LARGE + SMALL, 34 * LARGE))
    process.fill(0, 15 * LARGE)
    process.fill(16 * LARGE, 40 * LARGE)

    assert pages.gather() == (5 + 4 + 3) * LARGE
    assert process.asked == [(10, 5, COLLAPSE), (16, 4, COLLAPSE), (31, 3, COLLAPSE)]


@linux
def test_the_heap_counts_and_files_stacks_and_read_only_memory_do_not(process: Process) -> None:
    process.allow()
    pages = process.pages()
    process.map(
        anonymous(0, LARGE, "[heap]"),
        anonymous(2 * LARGE, 3 * LARGE, "[stack]"),
        f"{4 * LARGE:x}-{5 * LARGE:x} rw-p 00000000 08:01 77 /usr/lib/libc.so.6",
        f"{6 * LARGE:x}-{7 * LARGE:x} r--p 00000000 00:00 0 ",
        f"{8 * LARGE:x}-{9 * LARGE:x} rw-s 00000000 00:00 0 ",
        "garbled",
    )
    process.fill(0, 10 * LARGE)
    pages.gather()
    assert process.asked == [(0, 1, COLLAPSE)]


@linux
def test_an_old_kernel_is_asked_to_do_it_in_time(process: Process) -> None:
    pages = process.take(1)
    process.error = errno.EINVAL
    assert pages.gather() == 0
    assert process.asked == [(0, 1, COLLAPSE), (0, 1, HUGEPAGE)]


@linux
def test_what_the_kernel_refuses_stays_as_it_is(process: Process) -> None:
    pages = process.take(2)
    process.error = errno.ENOMEM
    assert pages.gather() == 0


@linux
def test_it_can_be_stopped_between_pieces(process: Process) -> None:
    pages = process.take(100)
    gathered = pages.gather(lambda: len(process.asked) == 2)
    assert len(process.asked) == 2
    assert gathered == sum(count for _, count, _ in process.asked) * LARGE < 100 * LARGE


def hide(root: Path) -> None:
    (root / "proc/self/maps").unlink()


def switch_off(root: Path) -> None:
    (root / THP / "enabled").write_text("always madvise [never]\n")


def hide_settings(root: Path) -> None:
    (root / THP / "enabled").unlink()


@pytest.mark.parametrize("trouble", [hide, switch_off, hide_settings])
def test_nothing_is_done_where_it_is_unwanted_or_unknown(
    process: Process, trouble: Callable[[Path], None]
) -> None:
    process.allow()
    process.fill(0, LARGE)
    trouble(process.root)
    pages = process.pages()
    if trouble is not hide:
        process.map(anonymous(0, LARGE))
    assert pages.gather() == 0
    assert process.asked == []


@linux
def test_memory_whose_pages_are_hidden_is_left_alone(process: Process) -> None:
    process.allow()
    pages = process.pages()
    process.map(anonymous(0, LARGE))
    assert pages.gather() == 0


@linux
def test_memory_of_this_process_lies_on_large_pages_afterwards() -> None:
    if free_memory() < 1 << 30:
        pytest.skip("little memory is free")
    pages = HugePages()
    size = 32 << 20
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[:] = b"\1" * size
    before = _on_large_pages()
    gathered = pages.gather()
    if gathered == 0:
        pytest.skip("this machine has no large pages")
    assert gathered >= size - 2 * LARGE
    assert memory[:] == b"\1" * size
    if _on_large_pages() == before:
        pytest.skip("this kernel does it in time")
    assert _on_large_pages() - before >= size // 2


def _on_large_pages() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("AnonHugePages:"):
            return int(line.split()[1]) * 1024
    return 0
