"""The stage of Ray Data: an engine in an actor, which answers blocks of requests."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import numpy as np

from nanoaccel.batch.answering import Answerer
from nanoaccel.batch.lines import Request
from nanoaccel.server.config import ServerConfig
from nanoaccel.server.connections.in_process import InProcessServer

Block: TypeAlias = dict[str, Any]
"""Columns of a block, each an array."""


def as_row(request: Request) -> dict[str, object]:
    """A request as a row of a data set."""
    return {
        "number": request.number,
        "custom_id": request.custom_id,
        "url": request.url,
        "body": request.body,
    }


class AnswerBlocks:
    """An engine. Several blocks are worked on at once, so that it never runs dry between them.

    Args:
        config: The bundle, and how it runs.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._server = InProcessServer(config)
        self._answerer = Answerer(self._server)
        self._opening: asyncio.Task[None] | None = None

    async def __call__(self, block: Block) -> Block:
        """Answer a block of requests, as ``as_row`` makes them."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._server.open())
        await asyncio.shield(self._opening)
        columns = (block[name].tolist() for name in ("number", "custom_id", "url", "body"))
        requests = [Request(*row) for row in zip(*columns, strict=True)]
        replies = await asyncio.gather(*map(self._answerer.answer, requests))
        return {"line": np.array([reply.line for reply in replies], dtype=object)}
