"""What stands before the engines: reads a request, has it routed, and passes the answer on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from ray.exceptions import RayActorError, RayError
from ray.serve.handle import DeploymentHandle
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
            messages = self._answer.remote(request)
            ended = False
            try:
                async for message in messages:
                    await relay.send(message)
                ended = True
                return
            except RayActorError:
                ended = True
                if relay.begun:
                    break
            except RayError:
                ended = True
                break
            finally:
                if not ended:
                    messages.cancel()
        await relay.fail()


class Relay:
    """The way back to a client. The head of an answer waits for its first part.

    Args:
        scope: The client's request.
        send: As ASGI has it.

    Attributes:
        begun: Whether the client has got anything.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self.begun = False
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
        if not self.begun:
            assert self._head is not None
            self.begun = True
            await self._send(self._head)
        await self._send(message)

    async def fail(self) -> None:
        """Tell that the engine has ended, as far as that can still be told."""
        error = ApiError(
            503, "the engine ended; try again", "engine_lost", headers={"Retry-After": "1"}
        )
        if not self.begun:
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
