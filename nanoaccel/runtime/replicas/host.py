"""The engine's side of the pipe: opens the bundle, and gives the engine what comes in."""

from __future__ import annotations

import logging
import os
import queue
import threading
from contextlib import suppress
from dataclasses import replace
from typing import IO

import numpy as np

from nanoaccel.errors import ClosedError, NanoAccelError
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.threads import plan_here
from nanoaccel.runtime.cpu.workload import ThreadPlan, Workload
from nanoaccel.runtime.engine.client import InProcessClient
from nanoaccel.runtime.replicas.messages import (
    AskCounters,
    Cancel,
    Close,
    Closing,
    Counted,
    Failed,
    Happened,
    Logged,
    Ready,
    Refused,
    SetAdapters,
    Start,
    Submit,
)
from nanoaccel.runtime.replicas.wire import encode, receive, send
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.types.events import Event

_FAILED = 1

_log = logging.getLogger("nanoaccel.replicas")


class Host:
    """Serves one client; the process ends with the pipe it listens to, however that ends.

    Three threads: the engine's own, one that reads, and one that writes, so that a slow reader on
    the other side holds up no pass.

    Args:
        commands: Where messages come from.
        answers: Where messages go.
    """

    def __init__(self, commands: IO[bytes], answers: IO[bytes]) -> None:
        self._commands = commands
        self._answers = answers
        self._outbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._numbers: dict[int, int] = {}
        self._requests: dict[int, list[Request]] = {}
        self._opened = threading.Event()
        self._ended = threading.Event()
        self._client: InProcessClient | None = None

    def run(self, plan: ThreadPlan, refused: list[str]) -> None:
        """Load what is asked for, and serve until told to close.

        Args:
            plan: What this process was bound by.
            refused: Lines about what the system did not let it do.

        Raises:
            EOFError: Nobody is there.
        """
        start: Start = receive(self._commands)
        writer = threading.Thread(target=self._write, name="answers", daemon=True)
        writer.start()
        whole = logging.getLogger("nanoaccel")
        whole.addHandler(_Teller(self._outbox))
        whole.propagate = False
        whole.setLevel(start.log_level)
        for line in refused:
            _log.warning("%s", line)
        reader = threading.Thread(target=self._listen, name="commands", daemon=True)
        reader.start()
        self._serve(start, plan)
        self._outbox.put(None)
        writer.join()
        reader.join()  # the interpreter must not end while a thread holds the pipe

    def _serve(self, start: Start, plan: ThreadPlan) -> None:
        try:
            client = InProcessClient(
                start.bundle,
                backend=start.backend,
                config=_planned(start.config, plan),
                on_event=self._tell,
            )
        except Exception as error:
            self._outbox.put(_failure(error))
            return
        self._client = client
        self._outbox.put(Ready(client.info, client.cache_tokens, client.registry.adaptable))
        self._opened.set()
        self._ended.wait()
        client.close()
        self._outbox.put(Counted(client.counters()))

    def _listen(self) -> None:
        """Take messages; before the bundle is open only the end can come."""
        with suppress(EOFError):
            while not isinstance(message := receive(self._commands), Close):
                self._opened.wait()
                self._take(message)
        if not self._opened.is_set():
            os._exit(_FAILED)  # loading cannot be interrupted
        self._outbox.put(Closing())
        self._ended.set()

    def _take(self, message: object) -> None:
        assert self._client is not None
        if isinstance(message, Submit):
            self._submit(self._client, message)
        elif isinstance(message, Cancel):
            self._client.cancel(self._requests.get(message.number, []))
        elif isinstance(message, SetAdapters):
            self._client.set_adapters(message.adapters)
        else:
            assert isinstance(message, AskCounters)
            self._outbox.put(Counted(self._client.counters()))

    def _submit(self, client: InProcessClient, message: Submit) -> None:
        prompt = np.frombuffer(message.prompt, np.int32).tolist()
        try:
            requests = client.process(prompt, message.params, message.options)
            self._requests[message.number] = requests
            self._numbers[requests[0].id] = message.number
            client.submit(requests, lambda _: None, even_if_full=True)
        except ClosedError:  # the engine broke; another process begins anew
            os._exit(_FAILED)
        except NanoAccelError as error:
            self._requests.pop(message.number, None)
            self._outbox.put(Refused(message.number, str(error)))

    def _tell(self, event: Event) -> None:
        number = self._numbers[event.request_id]
        self._outbox.put(Happened(number, event.kind, event.chunk))
        if event.chunk is not None and event.chunk.finish_reason is not None:
            del self._numbers[event.request_id], self._requests[number]

    def _write(self) -> None:
        """Send what there is, all that waits at once."""
        last = False
        while not last:
            batch = [self._outbox.get()]
            with suppress(queue.Empty):
                while True:
                    batch.append(self._outbox.get_nowait())
            last = None in batch
            messages = [message for message in batch if message is not None]
            with suppress(OSError):  # nobody reads: the reading thread learns it too
                send(self._answers, encode(messages))


class _Teller(logging.Handler):
    """Puts lines of the log into a queue."""

    def __init__(self, outbox: queue.SimpleQueue[object]) -> None:
        super().__init__()
        self._outbox = outbox

    def emit(self, record: logging.LogRecord) -> None:
        self._outbox.put(Logged(record.name, record.levelno, self.format(record)))


def _planned(config: EngineConfig, plan: ThreadPlan) -> EngineConfig:
    """The options, with the number of threads where this process alone would choose another."""
    own = plan_here(Workload(threads=config.threads))
    return config if own.threads == plan.threads else replace(config, threads=plan.threads)


def _failure(error: Exception) -> Failed:
    if isinstance(error, NanoAccelError):
        return Failed(type(error).__name__, error.problem, error.remedy)
    _log.exception("an engine cannot be opened")
    return Failed("NanoAccelError", f"an engine cannot be opened: {error!r}", None)
