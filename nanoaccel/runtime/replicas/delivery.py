"""Gives chunks to whoever waits for them, and tells the user's listener."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from nanoaccel.runtime.loop_calls import gathered_calls
from nanoaccel.runtime.replicas.request import ReplicaRequest
from nanoaccel.runtime.types.events import Event, EventKind, EventListener, log_callback_error
from nanoaccel.runtime.types.outputs import Chunk

Delivery: TypeAlias = tuple[ReplicaRequest, EventKind, Chunk | None]


class Deliverer:
    """As an engine's thread does it, for what comes from several.

    Args:
        on_event: The user's listener.

    Attributes:
        errors: How often that raised.
    """

    def __init__(self, on_event: EventListener | None) -> None:
        self.errors = 0
        self._on_event = on_event

    def give(self, deliveries: Sequence[Delivery]) -> None:
        """Deliver them, in this order; to be called in one thread only."""
        with gathered_calls():
            for request, kind, chunk in deliveries:
                if chunk is not None:
                    request.sink(chunk)
                if self._on_event is not None:
                    self._tell(self._on_event, Event(kind, request.id, chunk))

    def _tell(self, listener: EventListener, event: Event) -> None:
        try:
            listener(event)
        except BaseException as error:  # sys.exit() there must not end the thread either
            self.errors += 1
            if self.errors == 1:
                log_callback_error(error)
