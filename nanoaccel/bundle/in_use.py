"""Whether somebody runs a folder right now: a shared lock on the file that says what it is.

The lock ends with the process that holds it, however that ends. Where a file system has no locks
nobody is seen; Windows deletes no file that is open, which is as good.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

from nanoaccel.bundle.manifest import MANIFEST

_MARKS = (MANIFEST, "openvino_model.xml", "genai_config.json", "config.json")


def mark_file(folder: Path) -> Path | None:
    """The file by which a folder is known as a bundle, or as another folder that runs."""
    found = (folder / name for name in _MARKS)
    return next((path for path in found if path.is_file()), None)


def hold(folder: Path) -> IO[bytes] | None:
    """Say that a folder is in use until the file that is given is closed.

    Returns:
        The open file; None where it cannot be locked.
    """
    path = mark_file(folder)
    return None if path is None else _locked(path, exclusive=False)


def is_held(folder: Path) -> bool:
    """Whether a process has the folder open, this one included."""
    if mark_file(folder) is None or sys.platform == "win32":
        return False
    file = hold_alone(folder)
    if file is None:
        return True
    file.close()
    return False


def hold_alone(folder: Path) -> IO[bytes] | None:
    """Keep others from a folder until the file that is given is closed.

    Returns:
        The open file; None where somebody has the folder open. Where there are no locks, nobody is
        seen.
    """
    path = mark_file(folder)
    if path is None:
        return None
    return path.open("rb") if sys.platform == "win32" else _locked(path, exclusive=True)


def _locked(path: Path, *, exclusive: bool) -> IO[bytes] | None:
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        file = path.open("rb")
    except OSError:
        return None
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        # A file system without locks, where nobody can be seen.
        if exclusive and not isinstance(error, BlockingIOError):
            return file
        file.close()
        return None
    return file
