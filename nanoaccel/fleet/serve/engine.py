"""A replica of Ray Serve that is an engine with all of the server's endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.types import Message

from nanoaccel.errors import ClosedError
from nanoaccel.fleet.serve.autoscaling import RUNNING, WAITING_TOKENS
from nanoaccel.fleet.serve.config import FleetConfig
from nanoaccel.fleet.serve.forwarded import Forwarded
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.server.connections.in_process import InProcessServer

SPEED, CACHE_TOKENS = "speed", "cache_tokens"


class Engine:
    """The engine of a node. It uses all cores of the node that it may.

    Args:
        config: What it serves.
    """

    async def __init__(self, config: FleetConfig) -> None:  # type: ignore[misc]  # Ray awaits it
        self._server = InProcessServer(config.server())
        await self._server.open()

    async def answer(self, request: Forwarded) -> AsyncGenerator[Message, None]:
        """The ASGI messages of an answer. When the caller goes away, the request is cancelled."""
        async with aclosing(self._server.exchange(request.scope, request.body)) as messages:
            async for message in messages:
                yield message

    def record_replica_metadata(self) -> dict[str, float]:
        """What the engine can do, for the router."""
        model = self._server.service.models.entries[0].model
        assert model is not None  # just opened
        client = model.client
        return {
            SPEED: client.info.threads * client.replicas,
            CACHE_TOKENS: client.counters().cache_blocks * client.info.block_size,
        }

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """How much there is to do, for the autoscaler."""
        found = await asyncio.to_thread(self._counters)
        return {
            RUNNING: sum(one.running for one in found),
            WAITING_TOKENS: sum(one.waiting_tokens for one in found),
        }

    async def __del__(self) -> None:
        """Ray Serve calls this when requests have ended, or had their time."""
        await self._server.close()

    def _counters(self) -> list[Counters]:
        found = []
        for entry in self._server.service.models.entries:
            if entry.model is not None:
                try:
                    found.append(entry.model.client.counters())
                except ClosedError:  # meanwhile
                    continue
        return found
