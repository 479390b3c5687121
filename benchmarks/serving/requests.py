"""Requests of all kinds, well and badly behaved, each of which knows how it has to end."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from benchmarks.serving.client import Reply, ask, sent, status_of

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
OVERLOADED = (429, 503)
_BAD: tuple[bytes | dict[str, Any], ...] = (
    b"",
    b"[]",
    b"{",
    b'{"prompt": "\xff"}',
    b"[" * 5000,
    {"prompt": "a", "max_tokens": -1},
    {"prompt": "a", "n": 10**9},
    {"prompt": "a", "temperature": "hot"},
    {"prompt": "a", "logit_bias": {"x": 1}},
    {"prompt": [10**9]},
    {"prompt": "a", "structured_outputs": {"regex": "("}},
    {"prompt": "word " * 100_000},
    {"model": "../../etc/passwd", "prompt": "a"},
)


class AnswerError(Exception):
    """An answer is not what it has to be."""


class Player:
    """Sends one request after the other, each of a kind drawn by chance.

    Args:
        port: Where the server listens.
        seed: Of the draws.
    """

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._random = random.Random(seed)
        self._number = 0
        self._kinds: dict[Callable[[], Awaitable[str]], int] = {
            self._whole: 4,
            self._stream: 6,
            self._own_text: 4,
            self._echo: 2,
            self._leaves: 4,
            self._reads_slowly: 1,
            self._half_open: 1,
            self._bad: 2,
        }

    async def play(self) -> str:
        """Send a request; tells its kind and how it ended.

        Raises:
            AnswerError: Its answer is wrong.
        """
        self._number += 1
        (kind,) = self._random.choices(list(self._kinds), list(self._kinds.values()))
        name = kind.__name__.strip("_").replace("_", " ")
        return f"{name}: {await kind()}"

    async def _whole(self) -> str:
        several = self._random.choice((1, 1, 3))
        reply = await ask(self._port, CHAT, self._chat(n=several))
        if reply.status != 200:
            return _refused(reply)
        (answer,) = reply.objects
        reasons = [choice["finish_reason"] for choice in answer["choices"]]
        if len(reasons) != several or not set(reasons) <= {"stop", "length"}:
            raise AnswerError(f"a whole answer ended with {reasons}")
        return "whole"

    async def _stream(self) -> str:
        several = self._random.choice((1, 1, 2))
        reply = await ask(self._port, CHAT, self._chat(n=several, stream=True))
        return self._ended(reply, several)

    async def _own_text(self) -> str:
        """A grammar lets only a mark of this request be said: another's text would be seen."""
        mark = f"{self._number}x{self._random.randrange(10**6)}"
        outputs = {"regex": f"{mark}(-[a-z]{{2,6}}){{1,3}}"}
        body = self._chat(stream=True, structured_outputs=outputs, max_tokens=60)
        reply = await ask(self._port, CHAT, body)
        end = self._ended(reply, 1)
        if end == "whole":
            choices = [choice for event in reply.objects for choice in event.get("choices", ())]
            text = "".join(choice["delta"].get("content") or "" for choice in choices)
            if not text.startswith(mark):
                raise AnswerError(f"{text!r} came for {mark!r}")
        return end

    async def _echo(self) -> str:
        prompt = f"Number {self._number} of {self._random.randrange(10**6)}:"
        body = {"prompt": prompt, "echo": True, "max_tokens": self._random.choice((1, 8))}
        reply = await ask(self._port, COMPLETIONS, body)
        if reply.status != 200:
            return _refused(reply)
        if not reply.objects[0]["choices"][0]["text"].startswith(prompt):
            raise AnswerError(f"{prompt!r} was not echoed")
        return "whole"

    async def _leaves(self) -> str:
        """Goes away in the queue, in the prompt, or in the answer; in order or by a reset."""
        body = self._chat(stream=True, prompt=self._random.choice((5, 300)), max_tokens=200)
        async with sent(self._port, CHAT, body) as (reader, writer):
            if self._random.random() < 0.5:
                await asyncio.sleep(self._random.random() / 2)
            else:
                status = await status_of(reader)
                for _ in range(self._random.randrange(8)):
                    if status == 200:
                        await reader.readline()
            if self._random.random() < 0.5:
                _reset(writer)
        return "left"

    async def _reads_slowly(self) -> str:
        body = self._chat(stream=True, max_tokens=60)
        async with sent(self._port, CHAT, body) as (reader, _):
            for _ in range(20):
                if not await reader.read(40):
                    break
                await asyncio.sleep(0.05)
        return "left"

    async def _half_open(self) -> str:
        """Stops in its headers or its body, and says no more."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        whole = head + 'Content-Length: 900\r\n\r\n{"messages": ['
        writer.write(self._random.choice((head, whole)).encode())
        await asyncio.sleep(self._random.random() * 2)
        if self._random.random() < 0.5:
            _reset(writer)
        writer.close()
        return "left"

    async def _bad(self) -> str:
        reply = await ask(self._port, COMPLETIONS, self._random.choice(_BAD))
        if not 400 <= reply.status < 500 or not reply.objects[0]["error"]["message"]:
            raise AnswerError(f"a bad request was answered with {reply.status}")
        return "refused"

    def _ended(self, reply: Reply, several: int) -> str:
        """How a stream ended, which must be once."""
        if reply.status != 200:
            return _refused(reply)
        if reply.events[-1:] != [b"[DONE]"] or reply.events.count(b"[DONE]") != 1:
            raise AnswerError("a stream has no end, or two")
        objects = reply.objects
        if any("error" in event for event in objects):
            return "error"
        reasons = [c["finish_reason"] for event in objects for c in event.get("choices", ())]
        ends = [reason for reason in reasons if reason is not None]
        if len(ends) != several:
            raise AnswerError(f"{several} completions ended {len(ends)} times")
        return "whole"

    def _chat(self, *, prompt: int = 8, **more: Any) -> dict[str, Any]:
        words = " ".join(str(self._random.randrange(1000)) for _ in range(prompt))
        return {
            "messages": [{"role": "user", "content": f"{self._number}: {words}"}],
            "max_tokens": self._random.choice((1, 16, 48)),
            "temperature": self._random.choice((0, 0.8)),
            **more,
        }


def _refused(reply: Reply) -> str:
    """The status of an answer that may be refused."""
    if reply.status not in (*OVERLOADED, 500):
        raise AnswerError(f"a good request was answered with {reply.status}: {reply.events}")
    assert reply.objects[0]["error"]["message"]
    return str(reply.status)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Have the connection end by a reset, without a goodbye."""
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
