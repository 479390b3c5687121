"""Around every request: its id, a line in the log, and an answer if its handler fails."""

from __future__ import annotations

import logging
import re
import time
import uuid
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nanoaccel.server.api_error import api_error
from nanoaccel.server.http.access import refuse
from nanoaccel.server.metrics.requests import HttpCounts

_log = logging.getLogger("nanoaccel.server")
_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_QUIET = ("/health", "/ready", "/metrics")


class RequestLog:
    """Gives each request an id and logs it when it has ended.

    Handlers add to ``scope["state"]["log"]`` what the line shall say.

    Args:
        app: The handlers.
        counts: Counts the answers.
    """

    def __init__(self, app: ASGIApp, counts: HttpCounts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        facts: dict[str, Any] = {}
        scope["state"].update(request_id=request_id, log=facts)
        begun = time.perf_counter()
        status = 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception as error:
            _log.exception("a handler failed", extra={"facts": {"request_id": request_id}})
            if status == 0:
                await refuse(api_error(error), scope, receive, send_named)
        finally:
            self._counts.add(scope, status)
            facts = {
                "request_id": request_id,
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "seconds": round(time.perf_counter() - begun, 4),
                **facts,
            }
            quiet = scope["path"] in _QUIET and status in (200, 503)  # asked again and again
            _log.log(logging.DEBUG if quiet else logging.INFO, "request", extra={"facts": facts})
