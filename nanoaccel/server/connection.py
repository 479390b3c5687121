"""uvicorn's HTTP connection, with a deadline for headers and a way to hang up."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from nanoaccel.server.api_error import ApiError
from nanoaccel.server.http.endpoint import ABORT


def connections(header_seconds: float) -> type[asyncio.Protocol]:
    """The class of connections whose headers must arrive within so many seconds."""

    class Connection(H11Protocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.app = partial(_with_abort, self.app, self)
            self._deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
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
                self._deadline = self.loop.call_later(header_seconds, self.transport.abort)

        def _disarm(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return Connection


async def _with_abort(
    app: ASGIApp, connection: H11Protocol, scope: Scope, receive: Receive, send: Send
) -> None:
    scope.setdefault("extensions", {})[ABORT] = connection.transport.abort
    await app(scope, receive, send)
