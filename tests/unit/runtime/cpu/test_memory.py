from __future__ import annotations

from pathlib import Path

import pytest

from nanoaccel.runtime.cpu.memory import free_memory


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "proc/meminfo", "MemTotal:  200 kB\nMemAvailable:  100 kB\n")
    return tmp_path


def test_free_memory_is_what_the_kernel_calls_available(root: Path) -> None:
    assert free_memory(root) == 100 * 1024


@pytest.mark.parametrize(
    ("limit", "usage"),
    [
        ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
        (
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
            "sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ],
)
def test_free_memory_keeps_to_a_cgroup_limit(root: Path, limit: str, usage: str) -> None:
    write(root, limit, "50000")
    write(root, usage, "20000")
    assert free_memory(root) == 30000


def test_free_memory_keeps_to_the_limit_of_a_group_above(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/user.slice/session.scope\n")
    write(root, "sys/fs/cgroup/user.slice/memory.max", "50000")
    write(root, "sys/fs/cgroup/user.slice/memory.current", "20000")
    assert free_memory(root) == 30000


def test_free_memory_counts_page_cache_as_free(root: Path) -> None:
    write(root, "sys/fs/cgroup/memory.max", "50000")
    write(root, "sys/fs/cgroup/memory.current", "45000")
    write(root, "sys/fs/cgroup/memory.stat", "anon 20000\ninactive_file 24000\n")
    assert free_memory(root) == 29000


def test_free_memory_ignores_a_cgroup_without_limit(root: Path) -> None:
    write(root, "sys/fs/cgroup/memory.max", "max")
    write(root, "sys/fs/cgroup/memory.current", "20000")
    assert free_memory(root) == 100 * 1024


def test_free_memory_without_proc_assumes_a_laptop(tmp_path: Path) -> None:
    assert free_memory(tmp_path) == 8 << 30


def test_free_memory_survives_garbage(root: Path) -> None:
    write(root, "proc/meminfo", "\nMemAvailable:\nMemAvailable: 7 kB\n")
    write(root, "sys/fs/cgroup/memory.max", "much")
    write(root, "sys/fs/cgroup/memory.current", "20000")
    write(root, "sys/fs/cgroup/memory.stat", "anon\ninactive_file\n")
    assert free_memory(root) == 7 * 1024
