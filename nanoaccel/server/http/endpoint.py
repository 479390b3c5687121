"""An endpoint that takes JSON and works: until it has answered, or nobody listens any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from nanoaccel.errors import NanoAccelError
from nanoaccel.server.api_error import ApiError, api_error, stopping
from nanoaccel.server.connections.extensions import ABORT
from nanoaccel.server.http.access import refuse
from nanoaccel.server.http.body import read_object
from nanoaccel.server.http.call import Call
from nanoaccel.server.http.dialect import Dialect, OpenAIDialect
from nanoaccel.server.service import Service

Handler: TypeAlias = Callable[[Call], Awaitable[None]]
_GOODBYE_SECONDS = 1.0
_log = logging.getLogger("nanoaccel.server")


class JsonEndpoint:
    """Runs a handler for each request. What it raises is answered.

    The handler is cancelled when the client goes away, reads too slowly, or the server stops.

    Args:
        service: What the handler works with.
        handle: The handler.
        dialect: Makes what its streams are written with.
    """

    def __init__(
        self, service: Service, handle: Handler, dialect: Callable[[], Dialect] = OpenAIDialect
    ) -> None:
        self._service = service
        self._handle = handle
        self._dialect = dialect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._service.stopping:
            await refuse(stopping(), scope, receive, send)
            return
        await self._service.pacer.turn()
        try:
            body = await read_object(Request(scope, receive), self._service.config.limits)
        except ApiError as error:
            await refuse(error, scope, receive, send)
            return
        except ClientDisconnect:
            return
        call = Call(self._service, body, scope, receive, send, dialect=self._dialect())
        if self._service.config.log_requests:
            call.log["request"] = body
        self._service.calls.add(call)
        try:
            await self._run(call, scope, receive)
        finally:
            self._service.leave(call)

    async def _run(self, call: Call, scope: Scope, receive: Receive) -> None:
        work = asyncio.create_task(self._answer(call))
        gone = asyncio.create_task(_until_gone(receive))
        overrun = asyncio.create_task(call.overrun.wait())
        stopped = asyncio.create_task(call.stopped.wait())
        ping = asyncio.create_task(call.ping())
        tasks: set[asyncio.Task[Any]] = {work, gone, overrun, stopped, ping}
        try:
            await asyncio.wait({work, gone, overrun, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not work.cancelled():
            return
        if not gone.cancelled():
            call.log["ended"] = "the client went away"
        elif not overrun.cancelled():
            call.log["ended"] = "the client read too slowly"
            scope.get("extensions", {}).get(ABORT, lambda: None)()
        elif not stopped.cancelled():
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(call.fail(stopping()), _GOODBYE_SECONDS)

    async def _answer(self, call: Call) -> None:
        try:
            await self._handle(call)
        except (ApiError, NanoAccelError) as error:
            told = api_error(error)
            if told.status == 500:
                _log.exception("a request failed", extra={"facts": _id_of(call)})
            await call.fail(told)
        except Exception as error:
            _log.exception("a handler failed", extra={"facts": _id_of(call)})
            await call.fail(api_error(error))


def _id_of(call: Call) -> dict[str, Any]:
    return {"request_id": call.request_id}


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
