"""Tells requests that ask for it how far they are before their first token."""

from __future__ import annotations

from collections.abc import Iterable

from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.types.events import Event, EventListener
from nanoaccel.runtime.types.outputs import Chunk, Progress

# A queue moves with every request that ends: nobody reads places faster than this.
_SECONDS_BETWEEN_PLACES = 0.2


class ProgressTeller:
    """Emits "progress" events; costs nothing while no request asks for them.

    Args:
        emit: Receives the events.
    """

    def __init__(self, emit: EventListener) -> None:
        self._emit = emit
        # By request that asked and has no token yet: the place that it was told last, or 0.
        self._places: dict[int, int] = {}
        self._next_places = 0.0

    def add(self, request: Request) -> None:
        """Note a request that was queued."""
        if request.options.progress:
            self._places[request.id] = 0
            self._next_places = 0.0  # a new one is told at once

    def tell(self, request: Request, now: float, waiting: int) -> None:
        """Tell a request that runs what is computed of its prompt.

        Args:
            request: The request.
            now: Seconds on the engine's clock.
            waiting: Requests in the queue.
        """
        if request.id not in self._places:
            return
        if request.first_token is None:
            self._emit(_told(request, now, 0, waiting))
        else:
            self.forget(request)

    def tell_places(self, queue: Iterable[Request], now: float, waiting: int) -> None:
        """Tell requests that wait their places, a few times a second, where these changed.

        Args:
            queue: Requests that wait, first to last.
            now: Seconds on the engine's clock.
            waiting: Their number.
        """
        if not self._places or now < self._next_places:
            return
        self._next_places = now + _SECONDS_BETWEEN_PLACES
        for place, request in enumerate(queue, 1):
            if self._places.get(request.id, place) != place:
                self._places[request.id] = place
                self._emit(_told(request, now, place, waiting))

    def forget(self, request: Request) -> None:
        """Tell a request nothing more."""
        self._places.pop(request.id, None)


def _told(request: Request, now: float, place: int, waiting: int) -> Event:
    seconds = 0.0 if request.started is None else now - request.started
    total, cached = request.num_prompt, request.num_cached_at_start
    processed = min(request.num_computed, total)
    told = Progress(total, cached, processed, seconds, place, waiting)
    return Event.of(request.id, Chunk("", (), index=request.index, progress=told))
