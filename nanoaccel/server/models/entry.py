"""What the pool knows of a model, loaded or not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from nanoaccel.runtime.adapters.registry import RegisteredAdapter
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
        bundled: Names of the adapters in its bundle.
        model: Itself, while it is loaded.
        users: Requests that use it.
        is_owed: Whether it was loaded for a request that has not begun to use it.
        wanted: Requests that wait for it.
        idle_since: When the last one ended, by ``time.monotonic``.
        loading: The task that loads it.
        failure: Why it could not be loaded the last time.
        adapters: Those that requests may have of it, as it was when it was closed; None before.
    """

    name: str
    bundle: Path
    memory: int
    latencies: Latencies
    bundled: tuple[str, ...] = ()
    model: Model | None = None
    users: int = 0
    is_owed: bool = False
    wanted: int = 0
    idle_since: float = 0.0
    loading: asyncio.Task[ApiError | None] | None = None
    failure: Exception | None = None
    adapters: tuple[RegisteredAdapter, ...] | None = None

    def adapter_names(self) -> tuple[str, ...]:
        """Adapters that requests may have; before it was loaded once, those of the bundle."""
        if self.model is not None:
            return self.model.adapters()
        if self.adapters is not None:
            return tuple(one.name for one in self.adapters)
        return self.bundled

    def begin(self, model: Model) -> None:
        """Note that it is loaded; it has the adapters that it had before."""
        if self.adapters is not None:
            model.client.set_adapters(self.adapters)
        self.model, self.memory = model, model.memory

    def end(self) -> Model | None:
        """Note that it is not loaded any more; what was loaded is given back."""
        model, self.model = self.model, None
        if model is not None:
            self.adapters = model.client.adapters()
        return model

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
