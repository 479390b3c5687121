"""What the control groups of this process allow, v1 and v2."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from nanoaccel.runtime.cpu.files import read_cpus, read_int, read_text

_MOUNT = "sys/fs/cgroup"
_UNLIMITED = 1 << 60  # v1 writes the highest page for "no limit"


def control_groups(root: Path, controller: str) -> list[Path]:
    """Folders of the process's own control group and of those above it, the nearest first.

    Args:
        root: Where /proc and /sys are.
        controller: Controller whose group it is under v1, where each has a tree of its own.
    """
    base = root / _MOUNT
    found: list[Path] = []
    text = read_text(root / "proc/self/cgroup")
    for line in () if text is None else text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            mounts = [base, base / "unified"]
        elif controller in controllers.split(","):
            mounts = [base / controller, base / controllers]
        else:
            continue
        own = PurePosixPath(path.lstrip("/"))
        # A container may see only its own group, at the top: then the path leads nowhere.
        own = PurePosixPath() if ".." in own.parts else own
        found += [mount / group for mount in mounts for group in (own, *own.parents)]
    found += [base, base / controller]
    return list(dict.fromkeys(found))


def cpu_quota(root: Path, notes: list[str]) -> float | None:
    """CPUs whose time the tightest group allows; None when none limits it.

    Args:
        root: Where /proc and /sys are.
        notes: Gets a line about a limit that cannot be meant.
    """
    quotas = []
    for folder in control_groups(root, "cpu"):
        limit = _quota_of(folder)
        if limit is None:
            continue
        quota, period = limit
        if quota < 1 or period < 1:
            notes.append(f"the CPU quota {quota}/{period} of {folder} cannot be: ignored")
        else:
            quotas.append(quota / period)
    return min(quotas, default=None)


def cpuset(root: Path, notes: list[str]) -> tuple[int, ...] | None:
    """CPUs of the nearest group that names any; None when no group does."""
    for folder in control_groups(root, "cpuset"):
        for name in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"):
            cpus = read_cpus(folder / name)
            if cpus:
                return cpus
            if cpus == () and name != "cpuset.cpus":
                notes.append(f"{folder / name} is empty: ignored")
    return None


def memory_limit(root: Path) -> int | None:
    """Bytes that the tightest group allows; None when none limits it."""
    limits = []
    for folder in control_groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = read_int(folder / name)
            if limit is not None and 0 < limit < _UNLIMITED:
                limits.append(limit)
    return min(limits, default=None)


def _quota_of(folder: Path) -> tuple[int, int] | None:
    """Microseconds of CPU time in a period of so many; None when the group has no limit."""
    text = read_text(folder / "cpu.max")
    if text is not None:
        words = text.split()
        if len(words) == 2 and all(word.lstrip("-").isdecimal() for word in words):
            return int(words[0]), int(words[1])
        return None  # "max 100000"
    quota = read_int(folder / "cpu.cfs_quota_us")
    period = read_int(folder / "cpu.cfs_period_us")
    if quota is None or period is None or quota == -1:
        return None
    return quota, period
