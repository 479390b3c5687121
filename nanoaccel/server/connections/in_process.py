"""The server's endpoints without a socket: for batch files, and behind another front end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Scope

from nanoaccel.server.api_error import ApiError
from nanoaccel.server.app import create_app
from nanoaccel.server.config import ServerConfig
from nanoaccel.server.service import Service

_MESSAGES_AHEAD = 16
_JSON = ((b"host", b"localhost"), (b"content-type", b"application/json"))


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Args:
        status: Its HTTP status.
        request_id: What the server calls the request.
        body: Its bytes.
    """

    status: int
    request_id: str
    body: bytes


class InProcessServer:
    """All that ``nanoaccel serve`` answers, called in this process and event loop.

    Args:
        config: As ``nanoaccel serve`` has it; host and port are not used.

    Attributes:
        service: What the endpoints work with.

    Raises:
        ConfigError: The bundles cannot be served together.
        BundleError: A folder is no bundle.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.service = Service(config)
        self._app = create_app(self.service)
        self._idle: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Load the first model.

        Raises:
            NanoAccelError: It cannot be loaded.
        """
        try:
            await self.service.open()
        except ApiError:
            failure = self.service.models.entries[0].failure
            if failure is None:
                raise
            raise failure from None
        self._idle = asyncio.create_task(self.service.close_idle_models())

    async def close(self) -> None:
        """Refuse what comes, end what runs, and free the models."""
        if self._idle is not None:
            self._idle.cancel()
        hurry = asyncio.Event()
        hurry.set()
        await self.service.drain(0, hurry)
        await self.service.models.close()

    async def post(self, path: str, body: bytes) -> Answer:
        """Send JSON and wait for the whole answer.

        Args:
            path: Such as ``/v1/completions``.
            body: A JSON object.
        """
        status, request_id, parts = 500, "", []
        scope = {"method": "POST", "path": path, "headers": list(_JSON)}
        async for message in self.exchange(scope, body):
            if message["type"] == "http.response.start":
                status = message["status"]
                request_id = Headers(raw=message["headers"]).get("x-request-id", "")
            else:
                parts.append(message.get("body", b""))
        return Answer(status, request_id, b"".join(parts))

    async def exchange(
        self, scope: Mapping[str, Any], body: bytes
    ) -> AsyncGenerator[Message, None]:
        """The ASGI messages of an answer; closing the generator is a client that goes away.

        Args:
            scope: Method, path, headers, and what else of ASGI's scope is known.
            body: The whole body.
        """
        whole = {**_EMPTY, **scope, "state": {}}
        async with aclosing(_exchange(self._app, whole, body)) as messages:
            async for message in messages:
                yield message


_EMPTY: Scope = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "scheme": "http",
    "query_string": b"",
    "root_path": "",
    "client": None,
    "server": None,
}


async def _exchange(app: ASGIApp, scope: Scope, body: bytes) -> AsyncGenerator[Message, None]:
    pipe = _Pipe(body)
    work = asyncio.ensure_future(app(scope, pipe.receive, pipe.send))
    work.add_done_callback(lambda _: pipe.end())
    try:
        while (message := await pipe.next()) is not None:
            yield message
    finally:
        pipe.close()
        await asyncio.wait({work})
    work.result()


class _Pipe:
    """The two ways between an application and who called it.

    Args:
        body: The body of the request.
    """

    def __init__(self, body: bytes) -> None:
        self._requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._messages: deque[Message] = deque()
        self._filled, self._room, self._closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._ended = False

    async def receive(self) -> Message:
        """The request, and then that the caller has gone, once it has."""
        if self._requests:
            return self._requests.pop()
        await self._closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on, once there is room; after the end nobody wants it."""
        while len(self._messages) >= _MESSAGES_AHEAD and not self._closed.is_set():
            self._room.clear()
            await self._room.wait()
        self._messages.append(message)
        self._filled.set()

    async def next(self) -> Message | None:
        """The next part of the answer; None when there are no more."""
        while not self._messages:
            if self._ended:
                return None
            self._filled.clear()
            await self._filled.wait()
        self._room.set()
        return self._messages.popleft()

    def end(self) -> None:
        """Note that the application has ended."""
        self._ended = True
        self._filled.set()

    def close(self) -> None:
        """Note that the caller has gone."""
        self._closed.set()
        self._room.set()
