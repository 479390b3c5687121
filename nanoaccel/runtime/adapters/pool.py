"""Which adapter is in which slot of the backend: loaded on first use, the least recent one goes."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, TypeVar

from nanoaccel.runtime.adapters.registry import RegisteredAdapter
from nanoaccel.runtime.backends import AdapterHolder
from nanoaccel.runtime.types.low_rank import LowRankUpdate

State: TypeAlias = Literal["ready", "loading", "full"]
ReadAdapter: TypeAlias = Callable[[RegisteredAdapter], Mapping[str, LowRankUpdate]]

_log = logging.getLogger("nanoaccel.adapters")


class HasAdapter(Protocol):
    """What may be computed with an adapter."""

    @property
    def adapter(self) -> RegisteredAdapter | None:
        """Its adapter; None without."""


WaitingT = TypeVar("WaitingT", bound=HasAdapter)


@dataclass(slots=True)
class _Slot:
    """An adapter in a slot.

    Args:
        number: The slot.
        is_loaded: Whether it is there; before it is being loaded.
        users: Requests that are computed with it.
    """

    number: int
    is_loaded: bool = False
    users: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether its adapter may be unloaded."""
        return self.is_loaded and self.users == 0


@dataclass(frozen=True, slots=True)
class AdapterCounters:
    """How adapters are loaded.

    Args:
        loaded: Adapters in the backend's memory.
        loads: Times that one was loaded.
        load_seconds: Seconds that this took in all, beside the passes.
    """

    loaded: int = 0
    loads: int = 0
    load_seconds: float = 0.0


class AdapterPool:
    """Lets requests have adapters, as many different ones at once as there are slots.

    Reading and loading happen in another thread, while the graph runs for requests that do not
    need it. Everything else is called with the engine's lock held, and what changes slots by the
    engine's thread between two passes, so that no pass uses a slot that changes.

    Args:
        holder: The backend.
        read: Reads an adapter.
        known: Gives those that new requests may ask for.
        slots: Adapters that may be loaded at once.
        executor: Runs what takes time, one after the other.

    Attributes:
        wake: Called by that thread when something is done, without a lock; may be replaced.
    """

    def __init__(
        self,
        holder: AdapterHolder,
        read: ReadAdapter,
        known: Callable[[], Collection[RegisteredAdapter]],
        *,
        slots: int,
        executor: Executor,
    ) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._holder = holder
        self._read = read
        self._known = known
        self._executor = executor
        self._free = list(range(slots))[::-1]
        # The least recently used first.
        self._slots: dict[RegisteredAdapter, _Slot] = {}
        self._done: deque[tuple[RegisteredAdapter, float, Exception | None]] = deque()
        self._loads = 0
        self._seconds = 0.0

    def counters(self) -> AdapterCounters:
        """How it does."""
        loaded = sum(slot.is_loaded for slot in self._slots.values())
        return AdapterCounters(loaded, self._loads, self._seconds)

    @property
    def has_work(self) -> bool:
        """Whether there is something to settle."""
        return bool(self._done) or bool(self._forgotten())

    def could_start(self, requests: Iterable[HasAdapter]) -> bool:
        """Whether one of some requests waits for nothing that is being loaded.

        Args:
            requests: Those that wait, while none runs.
        """
        loading = sum(not slot.is_loaded for slot in self._slots.values())
        if loading == 0:
            return True
        return any(one.adapter is None or self._is_loaded(one.adapter) for one in requests)

    def first_ready(self, requests: Iterable[WaitingT]) -> WaitingT | None:
        """The first request that can start, as far as adapters go; others' are loaded meanwhile.

        One whose adapter is being loaded lets others pass. Once one finds all slots in use, those
        behind it that need one wait too, so that its turn comes.

        Args:
            requests: Those that wait, first to last.
        """
        full = False
        for request in requests:
            if request.adapter is None:
                return request
            if full:
                continue
            state = self._prepare(request.adapter)
            if state == "ready":
                return request
            full = state == "full"
        return None

    def acquire(self, adapter: RegisteredAdapter) -> int:
        """The slot of an adapter that is ready, for a request that starts."""
        slot = self._slots[adapter]
        assert slot.is_loaded, "a request starts without its adapter"
        slot.users += 1
        return slot.number

    def release(self, adapter: RegisteredAdapter) -> None:
        """Note that a request that had acquired it is computed no more."""
        slot = self._slots[adapter]
        assert slot.users > 0
        slot.users -= 1

    def settle(self, waiting: Iterable[HasAdapter]) -> dict[RegisteredAdapter, Exception]:
        """Take note of what was loaded, and unload what nobody can ask for any more.

        Args:
            waiting: Requests that wait; what they need stays, or is loaded again.

        Returns:
            What could not be loaded, and why.
        """
        failed: dict[RegisteredAdapter, Exception] = {}
        while self._done:
            adapter, seconds, error = self._done.popleft()
            slot = self._slots[adapter]
            if error is None:
                slot.is_loaded = True
                self._loads += 1
                self._seconds += seconds
            else:
                failed[adapter] = error
                self._free.append(self._slots.pop(adapter).number)
        if forgotten := self._forgotten():
            wanted = {one.adapter for one in waiting}
            self._free += [self._evict(one) for one in forgotten if one not in wanted]
        return failed

    def close(self) -> None:
        """End the thread; nothing is loaded any more."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def check_integrity(self, running: Iterable[HasAdapter]) -> None:
        """Assert that slots are free or taken once, and users are those that run."""
        numbers = [*self._free, *(slot.number for slot in self._slots.values())]
        assert sorted(numbers) == list(range(len(numbers))), "a slot was lost or given twice"
        users = dict.fromkeys(self._slots, 0)
        for request in running:
            if request.adapter is not None:
                users[request.adapter] += 1
        assert users == {adapter: slot.users for adapter, slot in self._slots.items()}

    def _is_loaded(self, adapter: RegisteredAdapter) -> bool:
        slot = self._slots.get(adapter)
        return slot is not None and slot.is_loaded

    def _prepare(self, adapter: RegisteredAdapter) -> State:
        """Whether an adapter is there; if not, it is loaded as soon as there is a slot."""
        slot = self._slots.pop(adapter, None)
        if slot is not None:
            self._slots[adapter] = slot
            return "ready" if slot.is_loaded else "loading"
        number = self._find_slot()
        if number is None:
            return "full"
        self._slots[adapter] = _Slot(number)
        self._executor.submit(self._load, adapter, number)
        return "loading"

    def _find_slot(self) -> int | None:
        if self._free:
            return self._free.pop()
        idle = next((adapter for adapter, slot in self._slots.items() if slot.is_idle), None)
        return None if idle is None else self._evict(idle)

    def _forgotten(self) -> list[RegisteredAdapter]:
        """Those that are loaded for nobody."""
        idle = [adapter for adapter, slot in self._slots.items() if slot.is_idle]
        if not idle:
            return []
        known = self._known()
        return [adapter for adapter in idle if adapter not in known]

    def _evict(self, adapter: RegisteredAdapter) -> int:
        """Unload an idle adapter, before anything else is loaded; gives its slot."""
        number = self._slots.pop(adapter).number
        self._executor.submit(self._unload, adapter, number)
        return number

    def _load(self, adapter: RegisteredAdapter, number: int) -> None:
        begun = time.perf_counter()
        failure: Exception | None = None
        try:
            self._holder.load_adapter(number, self._read(adapter))
        except Exception as error:
            failure = error
            _log.warning("the adapter %r cannot be loaded: %s", adapter.name, error)
        self._done.append((adapter, time.perf_counter() - begun, failure))
        self.wake()

    def _unload(self, adapter: RegisteredAdapter, number: int) -> None:
        try:
            self._holder.unload_adapter(number)
        except Exception:
            _log.exception("the adapter %r cannot be unloaded", adapter.name)
