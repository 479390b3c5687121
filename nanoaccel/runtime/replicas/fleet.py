"""The processes of the engines: started, started again when they end, counted, closed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nanoaccel.runtime.adapters.registry import RegisteredAdapter
from nanoaccel.runtime.cpu.workload import ThreadPlan
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.replicas.merging import at_rest, merge
from nanoaccel.runtime.replicas.messages import SetAdapters, Start
from nanoaccel.runtime.replicas.replica import Replica

# Times in a row that an engine may end, or fail to start, and is started again.
RESTARTS = 3

_log = logging.getLogger("nanoaccel.replicas")

Deliver = Callable[[Replica, Sequence[object] | None], None]
MakeReplica = Callable[[str, ThreadPlan, Start, Deliver], Replica]


@dataclass(slots=True)
class _Slot:
    """A slot for an engine, and the one that has it now."""

    plan: ThreadPlan
    start: Start
    replica: Replica | None = None
    ready: bool = False
    failures: int = 0
    past: Counters | None = None


class Fleet:
    """Engines by index. Not locked: its owner sees to that.

    Args:
        plans: Where each runs.
        starts: What each loads.
        deliver: As for ``Replica``.
        make: Makes one; tests replace it.
    """

    def __init__(
        self,
        plans: Sequence[ThreadPlan],
        starts: Sequence[Start],
        deliver: Deliver,
        make: MakeReplica = Replica,
    ) -> None:
        self._slots = [_Slot(plan, start) for plan, start in zip(plans, starts, strict=True)]
        self._deliver = deliver
        self._make = make
        self._adapters: tuple[RegisteredAdapter, ...] | None = None

    @property
    def size(self) -> int:
        """Places."""
        return len(self._slots)

    @property
    def running(self) -> list[Replica]:
        """Processes that have not ended."""
        return [slot.replica for slot in self._slots if slot.replica is not None]

    @property
    def all_ready(self) -> bool:
        """Whether every engine is loaded."""
        return all(slot.ready for slot in self._slots)

    def launch(self, index: int) -> None:
        """Start the engine at an index.

        Raises:
            OSError: No process can be started.
        """
        slot = self._slots[index]
        name = f"engine {index + 1} of {self.size}"
        slot.replica = self._make(name, slot.plan, slot.start, self._deliver)
        if self._adapters is not None:
            slot.replica.send(SetAdapters(self._adapters))

    def set_adapters(self, adapters: tuple[RegisteredAdapter, ...]) -> None:
        """Tell all engines, those that are started later too, which adapters there are."""
        self._adapters = adapters
        for engine in self.running:
            engine.send(SetAdapters(adapters))

    def index_of(self, replica: Replica) -> int | None:
        """Where an engine is; None when it has been given up."""
        indices = (index for index, slot in enumerate(self._slots) if slot.replica is replica)
        return next(indices, None)

    def replica(self, index: int) -> Replica | None:
        """The engine at an index; None when it is given up."""
        return self._slots[index].replica

    def speed(self, index: int) -> float:
        """Speed of the engine at an index, as the router compares it."""
        return float(self._slots[index].plan.threads)

    def note_ready(self, index: int) -> None:
        """Note that an engine is loaded."""
        self._slots[index].ready = True

    def note_success(self, index: int) -> None:
        """Note that an engine has ended a request well."""
        self._slots[index].failures = 0

    def note_end(self, index: int) -> None:
        """Note that a process has ended; what it did stays counted."""
        slot = self._slots[index]
        assert slot.replica is not None
        counters = slot.replica.last_counters
        if counters is not None:
            past = at_rest(counters)
            slot.past = past if slot.past is None else merge([slot.past, past])
        slot.replica, slot.ready = None, False

    def relaunch(self, index: int, ended: Replica) -> None:
        """Start an engine again that has ended, unless it did so too often."""
        slot = self._slots[index]
        slot.failures += 1
        if slot.failures > RESTARTS:
            _log.error("%s ended %s, %d times now; it stays away", *_told(ended), slot.failures)
            return
        _log.warning("%s ended %s, and is started again", *_told(ended))
        try:
            self.launch(index)
        except (OSError, RuntimeError) as error:  # no memory; or the interpreter is ending
            _log.error("%s cannot be started: %s", ended.name, error)

    def past(self) -> list[Counters]:
        """Counters of the processes that have ended."""
        return [slot.past for slot in self._slots if slot.past is not None]

    def owns(self, thread: threading.Thread) -> bool:
        """Whether it is one of those that read from, or write to, an engine that runs."""
        return any(thread in replica.threads for replica in self.running)

    def close(self) -> None:
        """Ask all to end; those that are still loading cannot hear it, and are killed."""
        for slot in self._slots:
            if slot.replica is not None:
                slot.replica.close()
                if not slot.ready:
                    slot.replica.kill()

    def kill_late(self) -> None:
        """End those at once that were asked to end, and hang."""
        for replica in self.running:
            if replica.is_late:
                _log.warning("%s does not end, and is killed", replica.name)
                replica.kill()

    def kill(self) -> None:
        """End all at once."""
        for replica in self.running:
            replica.kill()


def _told(ended: Replica) -> tuple[str, str]:
    return ended.name, ended.ending()
