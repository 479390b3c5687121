"""uvicorn's HTTP connection: with deadlines, in limited number, and with a way to hang up."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any, ClassVar

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from nanoaccel.server.api_error import ApiError
from nanoaccel.server.config import ServerConfig
from nanoaccel.server.http.access import SURPLUS
from nanoaccel.server.http.endpoint import ABORT
from nanoaccel.server.sockets import notice_silence

# Connections beyond the limit that are still told so.
_TOLD = 64


def connections(config: ServerConfig) -> type[asyncio.Protocol]:
    """The class of connections, which count those that are open, idle ones too.

    Args:
        config: Has their limits.
    """
    return type("ConfiguredConnection", (Connection,), {"settings": config})


class Connection(H11Protocol):
    """A connection; see ``connections``.

    Attributes:
        settings: Has its limits.
    """

    settings: ClassVar[ServerConfig]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = partial(_with_extensions, self.app, self)
        self._deadline: asyncio.TimerHandle | None = None
        self._came_late = False

    @property
    def is_surplus(self) -> bool:
        """Whether it came when there were too many, and there still are."""
        return self._came_late and len(self.connections) > self.settings.max_connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        notice_silence(transport.get_extra_info("socket"), self.settings.limits.write_seconds)
        self._came_late = len(self.connections) > self.settings.max_connections
        if len(self.connections) > self.settings.max_connections + _TOLD:
            transport.abort()
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._disarm()
        elif self.cycle is None or self.cycle.response_complete:
            self._arm()  # the beginning of a request

    def on_response_complete(self) -> None:
        self._disarm()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        error = ApiError(400, f"this is no HTTP request: {msg}", "invalid_http")
        body = json.dumps(error.body()).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(
                self.settings.limits.header_seconds, self.transport.abort
            )

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def _with_extensions(
    app: ASGIApp, connection: Connection, scope: Scope, receive: Receive, send: Send
) -> None:
    found = {ABORT: connection.transport.abort, SURPLUS: connection.is_surplus}
    scope.setdefault("extensions", {}).update(found)
    await app(scope, receive, send)
