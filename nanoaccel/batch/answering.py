"""Runs requests through the server's endpoints, a bounded number at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from nanoaccel.batch.lines import Problem, Reply, Request
from nanoaccel.server.connections.in_process import Answer, InProcessServer
from nanoaccel.server.models.entry import Pulse

_TRIES = 5
_FULL, _UNAVAILABLE = 429, 503


class Answerer:
    """Answers requests. One that finds the engine's queue full waits until others have ended.

    Args:
        server: Has the endpoints.
        pause: Seconds before a request is sent again to a model that is loaded anew.
    """

    def __init__(self, server: InProcessServer, *, pause: float = 1.0) -> None:
        self._server = server
        self._pause = pause
        self._running = 0
        self._ended = Pulse()

    async def answer(self, request: Request) -> Reply:
        """The answer to a request."""
        if request.problem is not None:
            return request.refusal(request.problem)
        tries = 0
        while True:
            answer = await self._post(request)
            if answer.status == _FULL and self._running > 0:
                await self._ended.wait()
            elif answer.status == _UNAVAILABLE and tries < _TRIES:
                tries += 1
                await asyncio.sleep(self._pause)
            elif not answer.body:
                problem = Problem("no_answer", "the server gave up on it; its log says why")
                return request.refusal(problem)
            else:
                return request.answer(answer)

    async def _post(self, request: Request) -> Answer:
        self._running += 1
        try:
            return await self._server.post(request.url, request.body)
        finally:
            self._running -= 1
            self._ended.ring()


async def answer_all(
    requests: Iterable[Request],
    answer: Callable[[Request], Awaitable[Reply]],
    deliver: Callable[[Reply], None],
    at_once: int,
) -> None:
    """Answer requests in the order in which they end.

    Args:
        requests: Read one by one, as there is room.
        answer: Answers one.
        deliver: Takes each answer.
        at_once: How many are worked on at once.

    The first error of ``answer``, ``deliver`` or ``requests`` ends all, and is raised.
    """
    left = iter(requests)

    async def work() -> None:
        for request in left:
            deliver(await answer(request))

    workers = [asyncio.create_task(work()) for _ in range(at_once)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
