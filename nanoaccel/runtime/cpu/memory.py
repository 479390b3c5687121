"""How much memory this process may still use."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

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
    for folder in _cgroups(root):
        for limit, usage in _LIMITS:
            most, used = _number(folder / limit), _number(folder / usage)
            if most is not None and used is not None:
                free = min(free, max(0, most - used + _reclaimable(folder)))
    return free


def _cgroups(root: Path) -> list[Path]:
    """Folders of the process's own control groups and of those above it, v2 and v1."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    paths = [PurePosixPath(line.split(":", 2)[2].lstrip("/")) for line in lines]
    own = {parent for path in paths for parent in (path, *path.parents)} | {PurePosixPath(".")}
    bases = (root / "sys/fs/cgroup", root / "sys/fs/cgroup/memory")
    return [base / path for base in bases for path in own]


def _reclaimable(folder: Path) -> int:
    """Bytes of the page cache that the kernel gives back when they are needed."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split() for line in lines)
    return int(counts.get("inactive_file", 0))


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
