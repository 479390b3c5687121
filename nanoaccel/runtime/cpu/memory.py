"""How much memory this process may still use."""

from __future__ import annotations

from pathlib import Path

from nanoaccel.runtime.cpu.cgroups import control_groups
from nanoaccel.runtime.cpu.files import read_int, read_text

_LIMITS = (
    ("memory.max", "memory.current"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that can be allocated without swapping, cgroup limits counted.

    Args:
        root: Where /proc and /sys are; tests replace it.
    """
    free = _available(root)
    for folder in control_groups(root, "memory"):
        for limit, usage in _LIMITS:
            most, used = read_int(folder / limit), read_int(folder / usage)
            if most is not None and used is not None:
                free = min(free, max(0, most - used + _reclaimable(folder)))
    return free


def _reclaimable(folder: Path) -> int:
    """Bytes of the page cache that the kernel gives back when they are needed."""
    text = read_text(folder / "memory.stat")
    for line in () if text is None else text.splitlines():
        name, _, count = line.partition(" ")
        if name == "inactive_file" and count.isdecimal():
            return int(count)
    return 0


def _available(root: Path) -> int:
    text = read_text(root / "proc/meminfo")
    for line in () if text is None else text.splitlines():
        words = line.split()  # MemAvailable:   16303512 kB
        if words[:1] == ["MemAvailable:"] and len(words) > 1 and words[1].isdecimal():
            return int(words[1]) * 1024
    return 8 << 30  # it does not say (macOS, Windows): assume a small laptop
