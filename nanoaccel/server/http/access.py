"""Who may ask: keys, the names by which the server may be called, and how long a head may be."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from nanoaccel.server.api_error import ApiError
from nanoaccel.server.config import ServerConfig
from nanoaccel.server.connections.extensions import SURPLUS
from nanoaccel.server.http.dialect import error_content

_ALWAYS = ("/health", "/ready")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class RequireKey:
    """Lets requests through that carry a key, as a bearer token or in ``x-api-key``.

    Args:
        app: What they reach.
        keys: The keys; none lets all through.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._keys and not self._knows(Headers(scope=scope)):
            error = ApiError(
                401,
                "there is no valid API key. Send it as 'Authorization: Bearer KEY'",
                "invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
            await refuse(error, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, headers: Headers) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        sent = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        # Every key is compared, so that the time does not tell which one it was.
        found = [hmac.compare_digest(sent.encode("latin-1"), key) for key in self._keys]
        return any(found)


class CheckHost:
    """Refuses requests under a foreign name: a page whose name was rebound to this machine.

    Args:
        app: What the others reach.
        config: Where the server listens, and names that are allowed.
    """

    def __init__(self, app: ASGIApp, config: ServerConfig) -> None:
        self._app = app
        names = [*config.allowed_hosts, *_LOOPBACK]
        if config.on_loopback:
            names.append(f"[{config.host}]" if ":" in config.host else config.host)
        self._allowed = {name.lower() for name in names}
        self._checks = config.on_loopback or bool(config.allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._checks:
            host = Headers(scope=scope).get("host", "")
            if _without_port(host).lower() not in self._allowed:
                error = ApiError(
                    421,
                    "the Host header names a server that this is not. Start it with "
                    "--allowed-host NAME to be called so",
                    "host",
                )
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)


class RefuseSurplus:
    """Refuses requests of connections beyond the limit, but for those that ask how it goes.

    Args:
        app: What the others reach.
        most: The limit, for the message.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("extensions", {}).get(SURPLUS, False) and scope["path"] not in _ALWAYS:
            error = ApiError(
                503,
                f"max_connections={self._most} connections are open already. Try again, or close "
                "some",
                "too_many_connections",
                headers={"Retry-After": "1", "Connection": "close"},
            )
            await refuse(error, scope, receive, send)
            return
        await self._app(scope, receive, send)


class LimitHeaders:
    """Refuses requests whose line and headers are too long.

    The HTTP library counts only while they arrive, so that a head in one packet passes it.

    Args:
        app: What the others reach.
        limit: Bytes at most.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # ASGI servers may leave raw_path out, and callers in this process do.
            path = scope.get("raw_path") or scope["path"].encode()
            size = len(path) + len(scope["query_string"])
            size += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
            if size > self._limit:
                message = f"the request has {size} bytes of headers. At most {self._limit} are read"
                headers = {"Connection": "close"}
                error = ApiError(431, message, "headers_too_large", headers=headers)
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.partition(":")[0]


async def refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with an error."""
    content = error_content(error, scope["path"])
    response = JSONResponse(content, error.status, dict(error.headers))
    await response(scope, receive, send)
