"""uvicorn's HTTP connection: with deadlines, in limited number, and with a way to hang up."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any, ClassVar

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from nanoaccel.server.api_error import ApiError
from nanoaccel.server.config import ServerConfig
from nanoaccel.server.connections.extensions import ABORT, SEND_PART, SURPLUS
from nanoaccel.server.connections.sockets import notice_silence, was_reset

# Connections beyond the limit that are still told so.
_TOLD = 64
# Seconds until the first look for a reset; each later one takes twice as long.
_FIRST_LOOK, _LONGEST_LOOK = 0.01, 1.0


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
        self._sends_no_more = False

    @property
    def is_surplus(self) -> bool:
        """Whether it came when there were too many, and there still are."""
        return self._came_late and len(self.connections) > self.settings.max_connections

    @property
    def _owes_an_answer(self) -> bool:
        """Whether a request has come as a whole, and its answer has not ended."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

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

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether to keep the connection: a client that sends no more may still read its answer."""
        # There is nothing to ask a client of HTTP/1.0 with.
        if not self._owes_an_answer or self.scope["http_version"] == "1.0":
            return False
        if not self._sends_no_more:
            self._sends_no_more = True
            self._ask_whether_it_reads()
        return True

    def on_response_complete(self) -> None:
        self._disarm()
        super().on_response_complete()
        if self._sends_no_more and not self._owes_an_answer:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        error = ApiError(400, f"this is no HTTP request: {msg}", "invalid_http")
        body = json.dumps(error.body()).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    async def send_part(self, data: bytes) -> None:
        """Write a part of an answer that comes in chunks, when the client has room for it.

        It is what ``send`` does through all layers, for a third of its time: streams write a part
        for each token.
        """
        cycle = self.cycle
        if self.flow.write_paused and not cycle.disconnected:
            await self.flow.drain()
        if not cycle.disconnected:
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _ask_whether_it_reads(self) -> None:
        """Send what clients pass over: where nobody reads, the client's system sends a reset.

        What has begun and not ended is a stream of events, which may hold comments.
        """
        asked: h11.Event = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
        if self.cycle.response_started:
            asked = h11.Data(data=b":\n\n")
        self.transport.write(self.conn.send(asked) or b"")
        self._look_for_reset(_FIRST_LOOK)

    def _look_for_reset(self, wait: float) -> None:
        """Hang up when the reset has come, which asyncio does not notice before it writes again."""
        if self.transport.is_closing():
            return
        if was_reset(self.transport.get_extra_info("socket")):
            self.transport.abort()
        else:
            self.loop.call_later(wait, self._look_for_reset, min(2 * wait, _LONGEST_LOOK))

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
    found: dict[str, Any] = {ABORT: connection.transport.abort, SURPLUS: connection.is_surplus}
    if scope["http_version"] == "1.1":
        found[SEND_PART] = connection.send_part
    scope.setdefault("extensions", {}).update(found)
    await app(scope, receive, send)
