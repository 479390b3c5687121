"""A client that costs little and hides nothing: one connection for each request."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

_HOST = "127.0.0.1"


@dataclass(slots=True)
class Reply:
    """What came back for a request.

    Args:
        status: Of the answer.
        sent: When the request was sent, by ``time.perf_counter``.
        events: The data of a stream's events, unread; of another answer its body.
        times: When each came.
        ended: When the answer was whole.
    """

    status: int
    sent: float
    events: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    ended: float = 0.0

    @property
    def objects(self) -> list[Any]:
        """What the events say; the mark of the end is none."""
        return [json.loads(event) for event in self.events if event != b"[DONE]"]


@asynccontextmanager
async def sent(
    port: int, path: str, body: object, *, method: str = "POST"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A request that was sent; the connection is closed at the end of the block.

    Args:
        port: Where the server listens.
        path: Of the endpoint.
        body: To be written as JSON; bytes go as they are.
        method: Of HTTP.
    """
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {_HOST}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(_HOST, port)
    try:
        writer.write(head.encode() + raw)
        await writer.drain()
        yield reader, writer
    finally:
        writer.close()


async def status_of(reader: asyncio.StreamReader) -> int:
    """The status of an answer, whose headers are read.

    Raises:
        ConnectionError: The connection was closed before.
    """
    line = await reader.readline()
    if not line:
        raise ConnectionResetError("no answer came")
    while (await reader.readline()).strip():
        pass
    return int(line.split()[1])


async def ask(port: int, path: str, body: object, *, method: str = "POST") -> Reply:
    """Send a request and read the whole answer.

    Raises:
        ConnectionError: The connection was closed before.
    """
    begun = time.perf_counter()
    async with sent(port, path, body, method=method) as (reader, _):
        reply = Reply(await status_of(reader), begun)
        rest = b""
        while part := await reader.read(1 << 16):
            now = time.perf_counter()
            *frames, rest = (rest + part).split(b"\n\n")
            data = [event for frame in frames for event in _data(frame)]
            reply.events += data
            reply.times += [now] * len(data)
        if not reply.events:
            reply.events.append(rest)
        reply.ended = time.perf_counter()
    return reply


def _data(frame: bytes) -> list[bytes]:
    """The data in a frame of an answer that may be sent in chunks."""
    lines = frame.split(b"\n")
    return [line[6:].rstrip(b"\r") for line in lines if line.startswith(b"data: ")]
