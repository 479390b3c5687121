"""Reading the small files of /proc and /sys: what is absent or garbled is None."""

from __future__ import annotations

from pathlib import Path

_MOST_CPUS = 1 << 16


def read_text(path: Path) -> str | None:
    """A file without surrounding space."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def read_int(path: Path) -> int | None:
    """A file that holds one whole number."""
    text = read_text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def read_cpus(path: Path) -> tuple[int, ...] | None:
    """A file that holds a list such as ``0-3,8``, ascending; empty when it lists none."""
    text = read_text(path)
    return None if text is None else parse_cpus(text)


def parse_cpus(text: str) -> tuple[int, ...] | None:
    """A list such as ``0-3,8``; None when it is none."""
    found: set[int] = set()
    for part in text.replace(" ", ",").split(","):
        if not part:
            continue
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            return None
        begin, end = int(first), int(last if dash else first)
        if end >= _MOST_CPUS:
            return None
        found.update(range(begin, end + 1))
    return tuple(sorted(found))


def format_cpus(cpus: tuple[int, ...]) -> str:
    """The same list, as people read it: ``0-3,8``."""
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and cpu == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], cpu]
        else:
            parts.append([cpu])
    return ",".join("-".join(map(str, part)) for part in parts)
