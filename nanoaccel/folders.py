"""Where things are kept that can be made again, and how a file of them appears whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex


def cache_folder() -> Path:
    """``NANOACCEL_CACHE``, or the user's cache folder as the system has it; may not exist yet."""
    chosen = os.environ.get("NANOACCEL_CACHE")
    if chosen is not None:
        return Path(chosen)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path.home() / "AppData/Local" if local is None else Path(local)) / "nanoaccel"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/nanoaccel"
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "nanoaccel"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; what is written gets its name when the block has succeeded.

    Several may write the same file at once: each has a path of its own, and the last one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{token_hex(4)}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
