"""Hundreds of streams at once: each gets its own text, or is told to come again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from support.servers import serving

STREAMS = 256


async def stream(port: int, letter: int) -> str | None:
    """The text of a stream; None when it was refused for now."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"prompt": [letter], "max_tokens": 5, "stream": True}).encode()
    head = (
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    if answer.startswith("HTTP/1.1 429 "):
        return None
    assert answer.startswith("HTTP/1.1 200 ")
    assert "data: [DONE]" in answer
    lines = [line for line in answer.splitlines() if line.startswith("data: {")]
    return "".join(json.loads(line[6:])["choices"][0]["text"] for line in lines)


async def all_streams(port: int) -> list[str | None]:
    return await asyncio.gather(*(stream(port, place % 20) for place in range(STREAMS)))


def expected(place: int) -> str:
    return "".join(chr(ord("a") + place % 20 + step) for step in range(1, 6))


def test_all_streams_end(letters: Path) -> None:
    with serving(letters, engine={"max_running": 16}) as served:
        texts = asyncio.run(all_streams(served.port))
    assert texts == [expected(place) for place in range(STREAMS)]


def test_streams_beyond_the_queue_are_refused(letters: Path) -> None:
    with serving(letters, engine={"max_running": 1, "max_waiting": 8}) as served:
        texts = asyncio.run(all_streams(served.port))
    assert None in texts
    assert all(text in (None, expected(place)) for place, text in enumerate(texts))
