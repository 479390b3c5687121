"""Spreads a burst of requests over turns of the event loop, so that others are heard between."""

from __future__ import annotations

import asyncio
from collections import deque

_EACH_TURN = 2


class Pacer:
    """Lets a few requests begin in each turn of the event loop, in the order in which they came.

    A request costs the loop some tenths of a millisecond before it waits for something. Of
    hundreds that come at once, the work would be done in one go, and ``/health`` behind it.
    """

    def __init__(self) -> None:
        self._begun = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def turn(self) -> None:
        """Wait for a turn of the loop in which one more request may begin."""
        loop = asyncio.get_running_loop()
        if self._begun == 0:
            loop.call_soon(self._next)
        if self._begun < _EACH_TURN:
            self._begun += 1
            return
        waiting = loop.create_future()
        self._waiting.append(waiting)
        await waiting

    def _next(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < _EACH_TURN:
            waiting = self._waiting.popleft()
            if not waiting.done():  # its client has not gone away
                waiting.set_result(None)
                self._begun += 1
        if self._begun > 0:
            asyncio.get_running_loop().call_soon(self._next)
