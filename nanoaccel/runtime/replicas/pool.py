"""Requests on several engines: routed, delivered in order, and not lost when an engine is."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from nanoaccel import errors
from nanoaccel.errors import ClosedError, NanoAccelError
from nanoaccel.runtime.adapters.registry import RegisteredAdapter
from nanoaccel.runtime.cpu.workload import ThreadPlan
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.engine.protocol import Sink
from nanoaccel.runtime.replicas.delivery import Deliverer, Delivery
from nanoaccel.runtime.replicas.fleet import Fleet, MakeReplica
from nanoaccel.runtime.replicas.merging import merge
from nanoaccel.runtime.replicas.messages import Cancel, Failed, Happened, Ready, Refused, Start
from nanoaccel.runtime.replicas.replica import Replica
from nanoaccel.runtime.replicas.request import ReplicaRequest
from nanoaccel.runtime.replicas.router import Capacity, Router
from nanoaccel.runtime.scheduling.queue_limits import QueueLimits
from nanoaccel.runtime.types.events import Event, EventKind, EventListener
from nanoaccel.runtime.types.outputs import Chunk, FinishReason
from nanoaccel.runtime.types.ownership import Owner

# Engines that may end while they work on a request before it is taken to be the reason.
_ATTEMPTS = 2
# A wait without a limit misses Ctrl-C on Windows.
_SIGNAL_SECONDS = 0.2

_log = logging.getLogger("nanoaccel.replicas")

_Item = tuple[Replica, Sequence[object] | None] | ReplicaRequest | None


class Pool:
    """Engines in processes of their own, and the thread that everything from them goes through.

    Every completion that is submitted gets exactly one chunk with a finish reason. When an engine
    ends, those of its completions that had delivered nothing begin anew on another; the others
    end with "error". What is delivered, is delivered in the pool's thread.

    Args:
        plans: Where each engine runs.
        starts: What each loads.
        on_event: The user's listener.
        limits: What may wait, over all engines.
        share_prefixes: Whether engines keep what they computed for prompts.
        make: Makes a ``Replica``; tests replace it.

    Raises:
        NanoAccelError: An engine cannot be loaded; none is left behind.
    """

    def __init__(
        self,
        plans: Sequence[ThreadPlan],
        starts: Sequence[Start],
        *,
        on_event: EventListener | None,
        limits: QueueLimits,
        share_prefixes: bool,
        make: MakeReplica = Replica,
    ) -> None:
        self.owner = Owner()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._inbox: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._fleet = Fleet(plans, starts, lambda *said: self._inbox.put(said), make)
        self._deliverer = Deliverer(on_event)
        self._limits = limits
        self._share_prefixes = share_prefixes
        self._requests: dict[int, ReplicaRequest] = {}
        self._readies: dict[int, Ready] = {}
        self._router: Router | None = None
        self._failure: NanoAccelError | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="nanoaccel", daemon=True)
        self._thread.start()
        self._open()

    @property
    def ready(self) -> list[Ready]:
        """What the engines said when they were loaded, by index."""
        return [self._readies[index] for index in range(self._fleet.size)]

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes that run."""
        with self._lock:
            return [running.pid for running in self._fleet.running]

    def submit(self, requests: Sequence[ReplicaRequest], sink: Sink, *, even_if_full: bool) -> None:
        """Send the completions of a prompt to engines, all or none; the sink gets their chunks.

        Raises:
            QueueFullError: The queue has no room for all of them.
            ClosedError: The pool is closed, has no engine left, or this is a fork.
        """
        self.owner.check()
        assert self._router is not None
        chain = self._router.chain(requests[0].prompt, requests[0].cache_key)
        with self._lock:
            if self._closing:
                raise ClosedError("this LLM is closed", "Open the bundle again")
            if not self._fleet.running:
                raise ClosedError("this LLM has no engine left", "Open the bundle again")
            if not even_if_full:
                waiting = [one for one in self._requests.values() if not one.running]
                self._limits.check(requests, waiting)
            for request in requests:
                request.submit(sink, chain)
                self._requests[request.id] = request
                self._place(request)
                if request.cancelled:  # meanwhile, when it was not known yet
                    self._inbox.put(request)

    def cancel(self, requests: Sequence[ReplicaRequest]) -> None:
        """End completions; takes no lock, so that a garbage collector may call it."""
        if not self.owner.is_here:
            return
        for request in requests:
            request.cancelled = True
            self._inbox.put(request)

    def set_adapters(self, adapters: tuple[RegisteredAdapter, ...]) -> None:
        """Let completions that are submitted from now on have these adapters."""
        with self._lock:
            self._fleet.set_adapters(adapters)

    def counters(self) -> Counters:
        """Counters of all engines together, ended ones included; ForkedError in a fork."""
        self.owner.check()
        with self._lock:
            running, past = self._fleet.running, self._fleet.past()
            unplaced = sum(request.engine_index is None for request in self._requests.values())
        if not self._closing:
            past += [found for one in running if (found := one.counters()) is not None]
        else:
            past += [one.last_counters for one in running if one.last_counters is not None]
        merged = merge(past)
        return replace(
            merged,
            waiting=merged.waiting + unplaced,
            refused=merged.refused + self._limits.refused,
            callback_errors=merged.callback_errors + self._deliverer.errors,
        )

    def close(self) -> None:
        """End everything, but in a fork: completions get "cancelled". Calling it twice is fine."""
        if not self.owner.is_here:
            return
        with self._lock:
            if not self._closing:
                self._closing = True
                self._fleet.close()
                self._inbox.put(None)
        # A garbage collector may call this in a thread that the end is waiting for.
        current = threading.current_thread()
        if current is not self._thread and not self._fleet.owns(current):
            self._thread.join()

    def _open(self) -> None:
        try:
            with self._lock:
                for index in range(self._fleet.size):
                    self._fleet.launch(index)
            with self._changed:
                while self._failure is None and self._router is None:
                    self._changed.wait(_SIGNAL_SECONDS)
            if self._failure is not None:
                raise self._failure
        except BaseException:
            self.close()
            raise

    def _run(self) -> None:
        try:
            while True:
                with self._lock:
                    if self._closing and not self._fleet.running:
                        break
                self._deliverer.give(self._handle(self._next()))
        except BaseException:
            _log.exception("the engines are given up")
            with self._lock:
                self._closing = True
                self._fleet.kill()
        finally:
            self._deliverer.give(
                [self._end(request, "cancelled") for request in [*self._requests.values()]]
            )

    def _next(self) -> _Item:
        """What comes next; while all close, engines that hang are killed."""
        while self._closing:
            self._fleet.kill_late()
            with suppress(queue.Empty):
                return self._inbox.get(timeout=_SIGNAL_SECONDS)
        return self._inbox.get()

    def _handle(self, item: _Item) -> list[Delivery]:
        with self._lock:
            if item is None:
                return []
            if isinstance(item, ReplicaRequest):
                return self._cancel(item)
            ended_or_said, messages = item
            index = self._fleet.index_of(ended_or_said)
            if index is None:
                return []
            if messages is None:
                return self._lose(index, ended_or_said)
            return [found for one in messages for found in self._take(index, one)]

    def _take(self, index: int, message: object) -> list[Delivery]:
        if isinstance(message, Ready):
            self._welcome(index, message)
            return []
        if isinstance(message, Failed):
            self._note_failure(index, message)
            return []
        assert isinstance(message, Happened | Refused)
        request = self._requests.get(message.number)
        if request is None or request.engine_index != index:
            return []
        if isinstance(message, Refused):
            return [self._end(request, "error", message.problem)]
        return self._note(request, index, message.kind, message.chunk)

    def _note_failure(self, index: int, failed: Failed) -> None:
        """Let an engine go that cannot load; while the first are loading, that fails them all."""
        engine = self._fleet.replica(index)
        assert engine is not None
        engine.close()
        if self._router is None:
            self._failure = getattr(errors, failed.kind)(failed.problem, failed.remedy)
            self._changed.notify_all()
        else:
            _log.error("%s cannot be opened: %s", engine.name, failed.problem)

    def _note(
        self, request: ReplicaRequest, index: int, kind: EventKind, chunk: Chunk | None
    ) -> list[Delivery]:
        """Note what an engine did for a completion."""
        assert self._router is not None
        if chunk is None:
            request.running = True
            announced, request.announced = request.announced, True
            return [] if announced else [(request, kind, None)]
        given = request.take(chunk)
        if chunk.token_ids:
            self._router.wrote(request.id, len(chunk.token_ids))
        if chunk.finish_reason is not None:
            if chunk.finish_reason != "error":
                self._fleet.note_success(index)
            self._forget(request)
        return [(request, kind, given)]

    def _welcome(self, index: int, ready: Ready) -> None:
        """Let an engine that has loaded have requests."""
        self._readies[index] = ready
        self._fleet.note_ready(index)
        if self._router is not None:
            self._router.restore(index, self._capacity(index))
        elif self._fleet.all_ready:
            capacities = [self._capacity(index) for index in range(self._fleet.size)]
            block_size = ready.info.block_size if self._share_prefixes else 0
            self._router = Router(capacities, block_size)
            self._changed.notify_all()
        for request in self._requests.values():
            if request.engine_index is None:
                self._place(request)

    def _capacity(self, index: int) -> Capacity:
        return Capacity(self._fleet.speed(index), self._readies[index].cache_tokens)

    def _lose(self, index: int, ended: Replica) -> list[Delivery]:
        """Find other engines for the completions of one that has ended, and start it again."""
        self._fleet.note_end(index)
        if self._router is None:
            if self._failure is None:
                self._failure = NanoAccelError(f"{ended.name} ended {ended.ending()} as it loaded")
            self._changed.notify_all()
            return []
        self._router.lose(index)
        if not self._closing:
            self._fleet.relaunch(index, ended)
        left = [
            request for request in self._requests.values() if request.engine_index in (index, None)
        ]
        return [found for request in left for found in self._rescue(request, ended)]

    def _rescue(self, request: ReplicaRequest, ended: Replica) -> list[Delivery]:
        """What becomes of a completion whose engine has ended, or that waits for one."""
        assert self._router is not None
        problem = f"{ended.name} ended {ended.ending()}"
        if request.engine_index is not None:
            self._router.end(request.id)
            request.engine_index = None
            request.attempts += request.running
            request.running = False
        if self._closing or request.cancelled:
            return [self._end(request, "cancelled")]
        if request.begun or request.attempts > _ATTEMPTS or not self._fleet.running:
            return [self._end(request, "error", problem)]
        self._place(request)
        return []

    def _cancel(self, request: ReplicaRequest) -> list[Delivery]:
        if request.id not in self._requests:
            return []
        engine = None if request.engine_index is None else self._fleet.replica(request.engine_index)
        if engine is None:
            return [self._end(request, "cancelled")]
        engine.send(Cancel(request.id))
        return []

    def _place(self, request: ReplicaRequest) -> None:
        """Send a completion to an engine; without one it waits for one that is being started."""
        assert self._router is not None
        index = self._router.choose(request.num_prompt, request.chain)
        if index is None:
            return
        engine = self._fleet.replica(index)
        assert engine is not None
        request.engine_index = index
        self._router.begin(
            request.id, index, tokens=request.num_prompt, chain=request.chain, limit=request.limit
        )
        engine.send(request.message())

    def _end(
        self, request: ReplicaRequest, reason: FinishReason, error: str | None = None
    ) -> Delivery:
        """End a completion here."""
        self._forget(request)
        chunk = request.last_chunk(reason, error)
        return request, Event.of(request.id, chunk).kind, chunk

    def _forget(self, request: ReplicaRequest) -> None:
        del self._requests[request.id]
        if request.engine_index is not None and self._router is not None:
            self._router.end(request.id)
