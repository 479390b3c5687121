"""The thread that owns an engine, and the doors to it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from nanoaccel.errors import ClosedError
from nanoaccel.runtime.engine.engine import Engine
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.engine.protocol import Sink
from nanoaccel.runtime.loop_calls import gathered_calls
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.types.events import Event, EventListener, log_callback_error
from nanoaccel.runtime.types.ownership import Owner

_log = logging.getLogger("nanoaccel.engine")


class EngineThread:
    """Runs steps in a thread of its own while there is work.

    Every request that is submitted gets exactly one chunk with a finish reason, whatever
    happens: "cancelled" after ``close``, "error" after a failure of the thread itself.

    Args:
        make_engine: Builds the engine, given where its events go.
        on_event: The user's listener; called in the engine's thread, so it must be quick.
        release: Frees what the engine uses; called once, by the thread, when it ends.

    Attributes:
        engine: What it runs.
        owner: The process whose thread that is.
    """

    def __init__(
        self,
        make_engine: Callable[[EventListener], Engine],
        *,
        on_event: EventListener | None,
        release: Callable[[], None],
    ) -> None:
        self.owner = Owner()
        self.engine = make_engine(self._dispatch)
        self._on_event = on_event
        self._release = release
        self._live: dict[int, tuple[Request, Sink]] = {}
        self._cancelled: deque[Request] = deque()
        self._changed = threading.Condition(self.engine.lock)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="nanoaccel", daemon=True)
        self._thread.start()

    def submit(self, requests: Sequence[Request], sink: Sink, *, even_if_full: bool) -> None:
        """Queue requests, all or none.

        Args:
            requests: New ones.
            sink: Is given their chunks, in the engine's thread; must be quick and never raise.
            even_if_full: Whether they may make the queue longer than it should be.

        Raises:
            QueueFullError: The queue has no room for all of them.
            ClosedError: The thread has ended, or runs in the process that this one was forked from.
        """
        self.owner.check()
        with self._changed:
            if self._closing:
                raise ClosedError("this LLM is closed", "Open the bundle again")
            self.engine.add(requests, even_if_full=even_if_full)
            self._live.update((request.id, (request, sink)) for request in requests)
            self._changed.notify_all()

    def cancel(self, requests: Sequence[Request]) -> None:
        """End requests before the next step; those that do not run are left alone.

        Takes no lock, so that a garbage collector may call it from anywhere.
        """
        self._cancelled.extend(request for request in requests if request.finish_reason is None)

    def wake(self) -> None:
        """Let it look again whether there is something to do."""
        with self._changed:
            self._changed.notify_all()

    def counters(self) -> Counters:
        """How the engine does.

        Raises:
            ForkedError: It runs in the process that this one was forked from.
        """
        self.owner.check()
        return self.engine.counters()

    def close(self) -> None:
        """End everything: requests get finish_reason "cancelled". Calling it twice is fine.

        In a fork it does nothing.
        """
        if not self.owner.is_here:
            return
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            with suppress(Exception):  # the first request will tell
                self.engine.warm_up()
            while self._wait_for_work():
                with gathered_calls():
                    self.engine.step()
            self.engine.cancel_all()
        except BaseException as error:
            _log.exception("the engine stopped")
            with self._changed:
                self._closing = True
                self.engine.give_up([request for request, _ in self._live.values()], error)
        finally:
            self._release()

    def _wait_for_work(self) -> bool:
        """Sleep until there is a step to run; False when the thread is closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self.engine.can_step)
            while self._cancelled:
                request = self._cancelled.popleft()
                if request.id in self._live:
                    self.engine.cancel(request)
            return not self._closing

    def _dispatch(self, event: Event) -> None:
        if event.chunk is not None:
            live = self._live.get(event.request_id)
            if event.chunk.finish_reason is not None:
                self._live.pop(event.request_id, None)
            if live is not None:  # as it is, unless Ctrl-C came in the middle of a submission
                live[1](event.chunk)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except BaseException as error:  # sys.exit() there must not end the engine either
                self._note_callback_error(error)

    def _note_callback_error(self, error: BaseException) -> None:
        self.engine.recorder.callback_errors += 1
        if self.engine.recorder.callback_errors == 1:
            log_callback_error(error)
