"""What the pool knows of a model, loaded or not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from nanoaccel.server.api_error import ApiError
from nanoaccel.server.metrics.latencies import Latencies
from nanoaccel.server.models.model import Model


@dataclass(slots=True)
class Entry:
    """A model of the pool.

    Args:
        name: What clients call it.
        bundle: Its folder.
        memory: Bytes that it takes; before it was loaded once, what is known of them.
        latencies: Of its completions.
        model: Itself, while it is loaded.
        users: Requests that use it.
        is_owed: Whether it was loaded for a request that has not begun to use it.
        wanted: Requests that wait for it.
        idle_since: When the last one ended, by ``time.monotonic``.
        loading: The task that loads it.
        failure: Why it could not be loaded the last time.
    """

    name: str
    bundle: Path
    memory: int
    latencies: Latencies
    model: Model | None = None
    users: int = 0
    is_owed: bool = False
    wanted: int = 0
    idle_since: float = 0.0
    loading: asyncio.Task[ApiError | None] | None = None
    failure: Exception | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it may be closed."""
        return self.model is not None and self.users == 0 and not self.is_owed


class Pulse:
    """Wakes all that wait for it at the moment."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake them."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Sleep until the next ring."""
        await self._event.wait()
