"""How much memory this process may still use."""

from __future__ import annotations

from pathlib import Path


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that can be allocated without swapping, cgroup limits counted.

    Args:
        root: Where /proc and /sys are; tests replace it.
    """
    free = _available(root)
    for limit, usage in (
        ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
        (
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
            "sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        most, used = _number(root / limit), _number(root / usage)
        if most is not None and used is not None:
            free = min(free, max(0, most - used))
    return free


def _available(root: Path) -> int:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return 8 << 30  # no /proc (macOS, Windows): assume a small laptop
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # absent, or "max"
        return None
