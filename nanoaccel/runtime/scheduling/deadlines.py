"""When requests are due."""

from __future__ import annotations

import heapq

from nanoaccel.runtime.scheduling.request import Request


class Deadlines:
    """Which requests are due; looking costs nothing while none is.

    A request that ended leaves its entry behind; when these are the most, all are swept out.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._live: dict[int, Request] = {}

    def add(self, request: Request) -> None:
        """Note when a request is due, if ever."""
        if request.deadline is not None:
            self._live[request.id] = request
            heapq.heappush(self._heap, (request.deadline, request.id))

    def discard(self, request: Request) -> None:
        """Forget a request that ended."""
        self._live.pop(request.id, None)
        if len(self._heap) > 2 * len(self._live) + 16:
            self._heap = [entry for entry in self._heap if entry[1] in self._live]
            heapq.heapify(self._heap)

    def due(self, now: float) -> list[Request]:
        """Take out those whose time has come, earliest first."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            request = self._live.pop(heapq.heappop(self._heap)[1], None)
            if request is not None:
                due.append(request)
        return due
