"""One user at a time for a folder, by a lock that ends with the process that holds it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nanoaccel.errors import PromptCacheError

LOCK_NAME = "nanoaccel.lock"

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 20  # a locked byte cannot be read by others: not one of the process number

    def _try_lock(file: int) -> bool:
        os.lseek(file, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(file, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _try_lock(file: int) -> bool:
        try:
            # Unlike lockf it also keeps out a second user in the same process.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class FolderLock:
    """Keeps a folder from other users until ``release`` or until the process ends, however it does.

    The lock file stays behind: deleting it would let two processes lock two files of one name.

    Args:
        folder: A folder that exists.

    Raises:
        PromptCacheError: Somebody holds it, in this process or another.
        OSError: The lock file cannot be written, or the file system knows no locks.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK_NAME
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _try_lock(self._file):
                raise PromptCacheError(
                    f"the prompt cache {folder} is in use by {_holder(self._file)}",
                    "Wait until it ends, or name another folder",
                )
            os.ftruncate(self._file, 0)
            os.write(self._file, str(os.getpid()).encode())
        except BaseException:
            os.close(self._file)
            raise

    def release(self) -> None:
        """Let others have the folder; call it once."""
        os.close(self._file)


def _holder(file: int) -> str:
    number = os.read(file, 20).decode("ascii", "replace")
    if number == str(os.getpid()):
        return "this process"
    return f"process {number}" if number.isdigit() else "another process"
