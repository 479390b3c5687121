"""How much memory this process holds."""

from __future__ import annotations

import os
from pathlib import Path

from nanoaccel.runtime.cpu.files import read_text


def resident_bytes(root: Path = Path("/")) -> int | None:
    """Bytes of this process in memory; None where the system does not tell (not Linux).

    Args:
        root: Where /proc is; tests replace it.
    """
    words = (read_text(root / "proc/self/statm") or "").split()
    if len(words) < 2 or not words[1].isdecimal():
        return None
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE")
