"""A file of requests: checked as a whole, then read line by line."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nanoaccel.batch.lines import Key, Request
from nanoaccel.errors import ConfigError

STANDARD = "-"
_MARK = b"\xef\xbb\xbf"


class RequestFile:
    """Requests, a line each; empty lines do not count.

    Args:
        stream: The file; it can be read several times.
        name: What it is called in messages.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of each line, from the first one on."""
        self._stream.seek(0)
        for number, line in enumerate(self._stream, 1):
            line = line.removeprefix(_MARK) if number == 1 else line
            if line.strip():
                yield number, line

    def keys(self) -> set[Key]:
        """What the answers are found by.

        Raises:
            ConfigError: Two lines have the same custom_id.
        """
        found: dict[Key, int] = {}
        for number, line in self.lines():
            key = Request.parse(number, line).key
            if key in found:
                places = f"lines {found[key]} and {number}"
                raise ConfigError(
                    f"{self._name}: {places} both have custom_id {key!a:.80}",
                    "Make them differ: answers are found by it",
                )
            found[key] = number
        return set(found)


def unanswered(asked: RequestFile, done: Set[Key]) -> Iterator[Request]:
    """Requests that have no answer yet, in the order of the file."""
    for number, line in asked.lines():
        request = Request.parse(number, line)
        if request.key not in done:
            yield request


@contextmanager
def open_requests(path: Path) -> Iterator[RequestFile]:
    """Open a file of requests; ``-`` is standard input, which is read to its end first.

    Raises:
        ConfigError: It cannot be read.
    """
    if str(path) == STANDARD:
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            yield RequestFile(copy, "standard input")
        return
    try:
        stream = path.open("rb")
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", "Name a file of requests, a line each"
        ) from None
    with stream:
        yield RequestFile(stream, str(path))
