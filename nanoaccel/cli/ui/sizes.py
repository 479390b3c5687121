"""Amounts of memory and counts, written for people."""

from __future__ import annotations


def bytes_text(count: float) -> str:
    """Bytes for people: ``85.0 MB``."""
    return _scaled(count, 1000, ("B", "kB", "MB", "GB", "TB"), 1)


def binary_bytes_text(count: float) -> str:
    """Bytes in powers of 1024, as llama-bench prints them: ``81.02 MiB``."""
    return _scaled(count, 1024, ("B", "KiB", "MiB", "GiB", "TiB"), 2)


def count_text(count: float) -> str:
    """A count of weights, as llama-bench prints it: ``134.52 M``."""
    return _scaled(count, 1000, ("", "K", "M", "B", "T"), 2)


def _scaled(value: float, step: int, units: tuple[str, ...], digits: int) -> str:
    place = 0
    while value >= step and place < len(units) - 1:
        value /= step
        place += 1
    return f"{value:.{0 if place == 0 else digits}f} {units[place]}".rstrip()
