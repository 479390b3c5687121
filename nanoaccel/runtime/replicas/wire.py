"""Objects through a pipe, one after the other."""

from __future__ import annotations

import pickle
from typing import IO, Any


def encode(message: object) -> bytes:
    """The bytes of a message."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def send(stream: IO[bytes], data: bytes) -> None:
    """Write the bytes of a message.

    Raises:
        OSError, ValueError: Nobody reads, or the stream is closed.
    """
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read a message; only of a process that this one has started, or was started by.

    Raises:
        EOFError: The other side has ended, maybe in the middle of a message.
    """
    try:
        return pickle.load(stream)
    except Exception as error:  # half a message can be anything
        raise EOFError(str(error)) from error
