"""The user's side of the pipe: an engine in a process of its own."""

from __future__ import annotations

import logging
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from nanoaccel.runtime.cpu.workload import ThreadPlan
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.replicas.messages import AskCounters, Close, Closing, Counted, Logged, Start
from nanoaccel.runtime.replicas.wire import encode, receive, send

# The user's path, and not the folder where it stands, decides what is imported.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from nanoaccel.runtime.replicas.worker import main; main()"
)
_PATIENCE = 5.0
# What an engine that was told to end may take: it ends its pass and writes its prompt cache.
_GRACE = 30.0

_log = logging.getLogger("nanoaccel.replicas")


class Replica:
    """An engine's process, with a thread that writes to it and one that reads.

    Args:
        name: For the log.
        plan: Where it runs.
        start: What it loads.
        deliver: Is given what it says, in the order in which it was said, in a thread of the
            replica's own; and None when the process has ended, however it did.

    Attributes:
        name: For the log.
        last_counters: How it did when it last said so; None before.
        threads: Its own, in this process.
    """

    def __init__(
        self,
        name: str,
        plan: ThreadPlan,
        start: Start,
        deliver: Callable[[Replica, Sequence[object] | None], None],
    ) -> None:
        self.name = name
        self.last_counters: Counters | None = None
        self._deliver = deliver
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._counted = threading.Condition()
        self._answers = 0
        self._asked = 0
        self._told_to_end: float | None = None
        self._hears = False
        # A session of its own keeps what is typed into a terminal from it: the end of the pipe
        # ends it.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._outbox.put(encode(plan))
        self._outbox.put(encode(start))
        self.threads = [
            threading.Thread(target=target, name=f"nanoaccel {name}", daemon=True)
            for target in (self._write, self._read)
        ]
        for thread in self.threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Tell it something; it may have ended, which ``deliver`` then says.

        Takes no lock, so that a garbage collector may call it from anywhere.
        """
        self._outbox.put(encode(message))

    def counters(self) -> Counters | None:
        """How it does; as it last did when it gives no answer, None when it never gave one."""
        with self._counted:
            self._asked += 1
            wanted = self._asked
            self.send(AskCounters())
            self._counted.wait_for(lambda: self._answers >= wanted, _PATIENCE)
        return self.last_counters

    @property
    def is_late(self) -> bool:
        """Whether it was told to end, and hangs: it says nothing to that, or does not end."""
        if self._told_to_end is None:
            return False
        patience = _GRACE if self._hears else _PATIENCE
        return time.monotonic() - self._told_to_end > patience

    def close(self) -> None:
        """Ask it to end."""
        if self._told_to_end is None:
            self._told_to_end = time.monotonic()
        self.send(Close())
        self._outbox.put(None)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def ending(self) -> str:
        """How it ended, in words."""
        code = self._process.returncode
        if code is None or code >= 0:
            return f"with exit code {code}"
        with suppress(ValueError):
            return f"by signal {signal.Signals(-code).name}"
        return f"by signal {-code}"

    def _write(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # it has ended, which the other thread sees too
            while (data := self._outbox.get()) is not None:
                send(self._process.stdin, data)
        with suppress(OSError):
            self._process.stdin.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with suppress(EOFError):
            while True:
                self._take(receive(self._process.stdout))
        self._process.stdout.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._outbox.put(None)
        with self._counted:
            self._answers = sys.maxsize
            self._counted.notify_all()
        self._deliver(self, None)

    def _take(self, messages: Sequence[object]) -> None:
        """Keep what is for this side of the pipe; give on what is for requests."""
        others = []
        for message in messages:
            if isinstance(message, Counted):
                with self._counted:
                    self.last_counters = message.counters
                    self._answers += 1
                    self._counted.notify_all()
            elif isinstance(message, Closing):
                self._hears = True
            elif isinstance(message, Logged):
                log = logging.getLogger(message.logger)
                log.log(message.level, "%s: %s", self.name, message.line)
            else:
                others.append(message)
        if others:
            self._deliver(self, others)
