"""Which requests have their adapter, and which wait for it."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.runtime.adapters.pool import AdapterCounters, AdapterPool
from nanoaccel.runtime.scheduling.request import Request


class AdapterUse:
    """The adapters of the requests of a scheduler.

    Args:
        pool: Loads them; None where no request has one.
    """

    def __init__(self, pool: AdapterPool | None) -> None:
        self.pool = pool

    def counters(self) -> AdapterCounters:
        """How they are loaded."""
        return AdapterCounters() if self.pool is None else self.pool.counters()

    @property
    def has_work(self) -> bool:
        """Whether there is something to settle."""
        return self.pool is not None and self.pool.has_work

    def could_start(self, waiting: Sequence[Request]) -> bool:
        """Whether one of the requests that wait, while none runs, does not wait for its adapter."""
        return bool(waiting) and (self.pool is None or self.pool.could_start(waiting))

    def first_ready(self, waiting: Sequence[Request]) -> Request | None:
        """The first request that waits for a place, and not for its adapter."""
        if self.pool is not None:
            return self.pool.first_ready(waiting)
        return waiting[0] if waiting else None

    def settle(self, waiting: Sequence[Request]) -> list[tuple[Request, Exception]]:
        """Note what was loaded; gives the requests whose adapter could not be, and the reason."""
        if self.pool is None or not self.pool.has_work:
            return []
        failed = self.pool.settle(waiting)
        return [
            (request, failed[request.adapter])
            for request in waiting
            if request.adapter is not None and request.adapter in failed
        ]

    def check_integrity(self, running: Sequence[Request]) -> None:
        """Assert that slots and the requests that run agree."""
        if self.pool is not None:
            self.pool.check_integrity(running)

    def begin(self, request: Request) -> None:
        """Note that steps work on a request from now on."""
        if self.pool is not None and request.adapter is not None:
            request.adapter_slot = self.pool.acquire(request.adapter)

    def end(self, request: Request) -> None:
        """Note that they do no more."""
        if self.pool is not None and request.adapter is not None:
            self.pool.release(request.adapter)
            request.adapter_slot = -1
