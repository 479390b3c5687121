"""What stands before the engines: reads a request, has it routed, and passes the answer on."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, cast

from ray.exceptions import RayActorError, RayError
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nanoaccel.fleet.serve.forwarded import Forwarded
from nanoaccel.server.api_error import ApiError
from nanoaccel.server.config import Limits
from nanoaccel.server.http.access import refuse
from nanoaccel.server.http.body import read_body

_TRIES = 3
_COMPUTED_PARTS = 2  # the first one of a stream does not wait for the prompt
_log = logging.getLogger("nanoaccel.fleet")


class Gateway:
    """The ingress of the application.

    Args:
        engines: The deployment of engines.
    """

    def __init__(self, engines: DeploymentHandle[Any]) -> None:
        self._answer = engines.options(stream=True, method_name="answer")
        self._limits = Limits()

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """The application, which Ray Serve asks for."""
        return Starlette(routes=[Mount("/", self.handle)])

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; it is cancelled when the client goes away."""
        try:
            body = await read_body(Request(scope, receive), self._limits)
        except ApiError as error:
            await refuse(error, scope, receive, send)
            return
        except ClientDisconnect:
            return
        relay = asyncio.create_task(self._relay(Forwarded.of(scope, body), Relay(scope, send)))
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait({relay, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (relay, gone):
                task.cancel()
            await asyncio.gather(relay, gone, return_exceptions=True)
        if not relay.cancelled():
            relay.result()

    async def _relay(self, request: Forwarded, relay: Relay) -> None:
        """Pass an answer on; from another engine, if one ends before it has said anything."""
        for _ in range(_TRIES):
            messages = cast(DeploymentResponseGenerator[Message], self._answer.remote(request))
            try:
                async for message in messages:
                    await relay.send(message)
                    if relay.parts == _COMPUTED_PARTS:
                        request.on_computed()
                return
            except RayActorError:
                if relay.parts > 0:
                    break
            except RayError:
                _log.exception("an engine failed")
                break
            except asyncio.CancelledError:
                messages.cancel()  # type: ignore[no-untyped-call]
                raise
        await relay.fail()


class Relay:
    """The way back to a client. The head of an answer waits for its first part.

    Args:
        scope: The client's request.
        send: As ASGI has it.

    Attributes:
        parts: Parts of the body that were sent.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self.parts = 0
        self._scope = scope
        self._send = send
        self._head: Message | None = None
        self._streams = False

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self._head = message
            self._streams = any(
                name == b"content-type" and value.startswith(b"text/event-stream")
                for name, value in message["headers"]
            )
            return
        self.parts += 1
        if self.parts == 1:
            assert self._head is not None
            await self._send(self._head)
        await self._send(message)

    async def fail(self) -> None:
        """Tell that the engine has ended, as far as that can still be told."""
        error = ApiError(
            503, "the engine ended; try again", "engine_lost", headers={"Retry-After": "1"}
        )
        if self.parts == 0:
            await refuse(error, self._scope, _nothing, self._send)
        elif self._streams:
            text = f"data: {json.dumps(error.body())}\n\ndata: [DONE]\n\n"
            await self._send(
                {"type": "http.response.body", "body": text.encode(), "more_body": False}
            )
        else:
            raise error


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
