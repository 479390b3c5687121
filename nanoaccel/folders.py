"""Where things are kept that can be made again, and how a file of them appears whole."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import cast

from nanoaccel.settings import setting

_log = logging.getLogger("nanoaccel.cache")
_told: set[Path] = set()  # cache folders of which it was said that they cannot be used


def cache_folder() -> Path:
    """The setting ``cache``, or the user's cache folder as the system has it; may not exist yet.

    Raises:
        ConfigError: A nanoaccel.toml is wrong.
    """
    chosen = setting("cache")
    if chosen is not None:
        return cast(Path, chosen.value)
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


@contextmanager
def kept_if_possible() -> Iterator[None]:
    """Inside, something is put into the cache folder; where that fails, nothing is kept.

    The first time, a line in the log says so.
    """
    try:
        yield
    except OSError as error:
        tell_unusable(error)


def check_writable(folder: Path) -> None:
    """Make a folder and a file in it, and remove the file.

    Raises:
        OSError: Nothing can be written there.
    """
    with whole_file(folder / "probe") as probe:
        probe.touch()
    (folder / "probe").unlink()


def tell_unusable(error: Exception) -> None:
    """Say in the log, once, that the cache folder cannot be used."""
    folder = cache_folder()
    if folder in _told:
        return
    _told.add(folder)
    reason = str(error)
    if isinstance(error, OSError) and error.strerror is not None:
        place = "" if error.filename is None else f": {error.filename}"
        reason = f"{error.strerror}{place}"
    _log.warning(
        "the cache folder %s cannot be written (%s), so nothing is kept there for the next time. "
        "Set NANOACCEL_CACHE to a folder that can be",
        folder,
        reason,
    )


def is_in_cache(path: str | bytes | Path) -> bool:
    """Whether a path lies in the cache folder, or is one of the folders that it lies in."""
    folder, place = Path(os.path.abspath(cache_folder())), Path(os.path.abspath(os.fsdecode(path)))
    return place == folder or folder in place.parents
