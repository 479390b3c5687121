"""A batch on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from nanoaccel.batch.answering import Answerer, answer_all
from nanoaccel.batch.lines import Reply, Request
from nanoaccel.server.config import ServerConfig
from nanoaccel.server.connections.in_process import InProcessServer


def run_here(
    requests: Iterable[Request],
    config: ServerConfig,
    deliver: Callable[[Reply], None],
    *,
    at_once: int,
    on_open: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests by an engine in this process.

    Args:
        requests: What is asked.
        config: The bundle, and how it runs.
        deliver: Takes each answer, in the order in which they end.
        at_once: Requests that are worked on at once.
        on_open: Called when the bundle is loaded.

    Raises:
        NanoAccelError: The bundle cannot be loaded, or ``deliver`` fails.
    """

    async def run() -> None:
        server = InProcessServer(config)
        try:
            await server.open()
            on_open()
            await answer_all(requests, Answerer(server).answer, deliver, at_once)
        finally:
            await server.close()

    asyncio.run(run())
