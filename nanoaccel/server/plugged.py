"""Routes of plugins, below /plugins/NAME."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount

from nanoaccel.registry import SERVER_ROUTES
from nanoaccel.runtime.engine.protocol import EngineClient
from nanoaccel.server.models.pool import ModelPool


class ServedModels(Protocol):
    """The models of a server, as its plugins see them."""

    def use(self, name: str | None = None) -> AbstractAsyncContextManager[EngineClient[Any]]:
        """What runs a model's requests; it stays loaded for the length of the block.

        Args:
            name: Name of the model; None is the first.

        Raises:
            NanoAccelError: There is no such model, or it cannot be loaded.
        """
        ...


class RoutesFactory(Protocol):
    """What a package registers to serve more: a function."""

    def __call__(self, models: ServedModels) -> Sequence[BaseRoute]:
        """The routes of an application, relative to /plugins/NAME.

        Who asks them needs the server's key, if it has one.
        """
        ...


def plugged_routes(models: ModelPool, guarded: Sequence[Middleware]) -> list[BaseRoute]:
    """The routes of all plugins; one that fails to make its own is switched off.

    Args:
        models: The server's.
        guarded: What stands before routes that need a key.
    """
    found: list[BaseRoute] = []
    for name, factory in SERVER_ROUTES.usable():
        with SERVER_ROUTES.guard(name):
            routes = list(factory(_Served(models)))
            if not all(isinstance(route, BaseRoute) for route in routes):
                raise TypeError("it gave something that is no route of starlette")
            found.append(Mount(f"/plugins/{name}", routes=routes, middleware=guarded))
    return found


class _Served:
    def __init__(self, models: ModelPool) -> None:
        self._models = models

    @asynccontextmanager
    async def use(self, name: str | None = None) -> AsyncIterator[EngineClient[Any]]:
        async with self._models.use(name) as model:
            yield model.client
