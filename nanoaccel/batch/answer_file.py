"""The file of answers: each is written whole and once, whenever the process is killed."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from nanoaccel.batch.lines import Key, Reply, begins_answer
from nanoaccel.batch.request_file import STANDARD
from nanoaccel.errors import ConfigError, NanoAccelError

if sys.platform != "win32":
    import fcntl

_SYNC_SECONDS = 1.0
_NO_DISK = (errno.EINVAL, errno.ENOTSUP, errno.EROFS)  # a pipe or a device


class Answers(Protocol):
    """Where answers go.

    Attributes:
        done: Keys of the requests that are answered.
        failed: How many of the answers hold no completion.
    """

    done: set[Key]
    failed: int

    def add(self, reply: Reply) -> None:
        """Write an answer; one to a request that has been answered is left out."""
        ...


@contextmanager
def open_answers(path: Path, keys: Set[Key]) -> Iterator[Answers]:
    """Open a file of answers, a new one or one to go on with; ``-`` is standard output.

    Args:
        path: The file.
        keys: What is asked for.

    Raises:
        ConfigError: It cannot be used: it is another kind of file, it answers what is not asked
            for, or another process writes to it.
        NanoAccelError: It cannot be written any more.
    """
    if str(path) == STANDARD:
        yield StandardOutput()
        return
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", "Name another file for the answers"
        ) from None
    try:
        _lock(descriptor, path)
        answers = AnswerFile(descriptor, path)
        foreign = answers.done - keys
        if foreign:
            raise ConfigError(
                f"{path} answers {min(foreign, key=str)!a:.80}, which is not asked for",
                "Name another file for the answers, or the requests that it was begun with",
            )
        yield answers
        answers.sync()
    finally:
        os.close(descriptor)


class StandardOutput:
    """Answers for a pipe; nothing is known of an earlier run.

    Attributes:
        done: As ``Answers`` has it.
        failed: As ``Answers`` has it.
    """

    def __init__(self) -> None:
        self.done: set[Key] = set()
        self.failed = 0

    def add(self, reply: Reply) -> None:
        """Write an answer."""
        if reply.key in self.done:
            return
        sys.stdout.buffer.write(reply.line + b"\n")
        sys.stdout.buffer.flush()
        self.done.add(reply.key)
        self.failed += reply.failed


class AnswerFile:
    """A file of answers. What a killed process left of its last line is cut off.

    Each line is handed to the system at once, and reaches the disk within a second.

    Args:
        descriptor: Open for reading and appending.
        path: What it is called in messages.

    Attributes:
        done: As ``Answers`` has it.
        failed: As ``Answers`` has it.

    Raises:
        ConfigError: There is something else in it.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self._synced = time.monotonic()
        self.done: set[Key] = set()
        self.failed = 0
        whole = 0
        for number, line in enumerate(_lines(descriptor), 1):
            if not line.endswith(b"\n"):
                if not begins_answer(line):
                    raise self._foreign(number)
                os.ftruncate(descriptor, whole)
                break
            whole += len(line)
            try:
                self._note(Reply.parse(line))
            except ValueError:
                raise self._foreign(number) from None

    def add(self, reply: Reply) -> None:
        """Write an answer.

        Raises:
            NanoAccelError: The disk is full or gone.
        """
        if reply.key in self.done:
            return
        left = memoryview(reply.line + b"\n")
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise self._unwritable(error) from None
        self._note(reply)
        if time.monotonic() - self._synced >= _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Wait until all is on disk.

        Raises:
            NanoAccelError: The disk is full or gone.
        """
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            if error.errno not in _NO_DISK:
                raise self._unwritable(error) from None
        self._synced = time.monotonic()

    def _unwritable(self, error: OSError) -> NanoAccelError:
        return NanoAccelError(
            f"{self._path} cannot be written: {error.strerror}",
            "Make room, and run the same command again: it goes on where it was",
        )

    def _note(self, reply: Reply) -> None:
        self.done.add(reply.key)
        self.failed += reply.failed

    def _foreign(self, number: int) -> ConfigError:
        return ConfigError(
            f"{self._path}: line {number} is no answer to a batch",
            "Name another file for the answers",
        )


def _lines(descriptor: int) -> Iterator[bytes]:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.lseek(descriptor, 0, os.SEEK_SET)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            yield from stream


def _lock(descriptor: int, path: Path) -> None:
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another process writes to {path}", "Wait for its end, or name another file"
            ) from None
        except OSError:  # a file system without locks
            return
