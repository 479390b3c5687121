"""One request to an endpoint that works: its fields, and its answer, whole or as events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nanoaccel.server.api_error import ApiError
from nanoaccel.server.connections.extensions import SEND_PART, SendPart
from nanoaccel.server.http.dialect import Dialect, compact_json, error_content
from nanoaccel.server.http.fields import Fields
from nanoaccel.server.service import Service

_IGNORED = "X-NanoAccel-Ignored"
_SHORTEST = 0.01


class Call:
    """A request and the way back.

    Args:
        service: What it works with.
        body: Its JSON object.
        scope: As ASGI has it.
        receive: As ASGI has it.
        send: As ASGI has it.
        dialect: How events and errors are written.

    Attributes:
        service: As given.
        fields: Of the body.
        request_id: Its id, for the log.
        arrived: When it came, by ``time.perf_counter``.
        log: What its line in the log shall say.
        overrun: Set when the client reads too slowly.
        stopped: Set when the server stops.
    """

    def __init__(
        self,
        service: Service,
        body: Mapping[str, Any],
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        dialect: Dialect,
    ) -> None:
        self.service = service
        self.fields = Fields(body)
        self.request_id: str = scope["state"]["request_id"]
        self.arrived = time.perf_counter()
        self.log: dict[str, Any] = scope["state"]["log"]
        self.overrun = asyncio.Event()
        self.stopped = asyncio.Event()
        self._asgi = (scope, receive, send)
        self._send = send
        self._send_part: SendPart | None = scope.get("extensions", {}).get(SEND_PART)
        self._path: str = scope["path"]
        self._dialect = dialect
        self._begun = False
        self._streams = False
        self._last_sent = 0.0
        self._writing = False

    def stop(self) -> None:
        """End it, as the server stops."""
        self.stopped.set()

    async def reply(self, content: object) -> None:
        """Answer with JSON."""
        await self._respond(content, 200, self._warning())

    async def begin_events(self) -> None:
        """Answer with events, beginning now."""
        headers = {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-cache",
            "X-Accel-Buffering": "no",
            **self._warning(),
        }
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        self._begun = self._streams = True
        self._last_sent = time.monotonic()
        await self._send({"type": "http.response.start", "status": 200, "headers": raw})

    async def events(self, contents: Iterable[Mapping[str, Any]]) -> None:
        """Send events; waits while the client does not read."""
        frames = "".join(map(self._dialect.frame, contents))
        if frames:
            await self._write(frames)

    async def end_events(self) -> None:
        """Say that there are no more."""
        await self._write(self._dialect.end, more=False)

    async def fail(self, error: ApiError) -> None:
        """Answer with an error, or end the events with one."""
        self.log.update(error=error.message)
        if self._streams:
            await self._write(self._dialect.failure(error), more=False)
        elif not self._begun:
            await self._respond(error_content(error, self._path), error.status, error.headers)

    async def ping(self) -> None:
        """Send a comment after each silence, while there are events; never ends.

        A client that takes nothing of what is sent for too long has overrun.
        """
        seconds = self.service.config.ping
        patience = self.service.config.limits.write_seconds
        while True:
            silence = time.monotonic() - self._last_sent if self._streams else 0.0
            if self._writing and silence >= patience:
                self.overrun.set()
            if silence >= seconds and not self._writing:
                await self._write(self._dialect.ping)
                silence = 0.0
            left = (patience if self._writing else seconds) - silence
            await asyncio.sleep(min(max(left, _SHORTEST), seconds))

    async def _write(self, text: str, *, more: bool = True) -> None:
        self._last_sent = time.monotonic()
        body = text.encode()
        self._writing = True
        if more and self._send_part is not None:
            await self._send_part(body)
        else:
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
        self._writing = False

    async def _respond(self, content: object, status: int, headers: Mapping[str, str]) -> None:
        self._begun = True
        body = compact_json(content).encode()
        response = Response(body, status, dict(headers), "application/json")
        await response(*self._asgi)

    def _warning(self) -> dict[str, str]:
        ignored = self.fields.unread()
        return {_IGNORED: ignored} if ignored else {}
