"""What is done for an engine that lives longer than a moment."""

from __future__ import annotations

import threading

from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.engine.engine import Engine

# Seconds between two looks at an engine, and how many of them it takes.
_LOOK = 0.25
_IDLE_LOOKS = 2
_BUSY_LOOKS = 8


class PageCompaction:
    """Moves what was loaded onto large pages, in a thread of its own.

    That keeps a core busy for a while, so it begins when the engine has had nothing to do for half
    a second, or has worked for two: a command that writes one short answer never pays for it.
    Runtimes pack weights at the first pass, so it is done again for each graph that comes into use.

    Args:
        pages: What was loaded.
        engine: That runs it.
    """

    def __init__(self, pages: HugePages, engine: Engine) -> None:
        self._pages = pages
        self._engine = engine
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="nanoaccel-pages", daemon=True)
        self._thread.start()

    def settle(self) -> None:
        """Do it now, and wait until it is done."""
        with self._lock:
            self._pages.gather(self._closed.is_set)

    def close(self) -> None:
        """Do it no more. Calling it twice is fine."""
        self._closed.set()

    def _watch(self) -> None:
        idle = busy = settled = 0
        while settled < len(self._engine.runners) and not self._closed.wait(_LOOK):
            used = self._engine.num_used_runners
            if used == settled:
                continue
            idle, busy = (0, busy + 1) if self._engine.has_work else (idle + 1, busy)
            if idle >= _IDLE_LOOKS or busy >= _BUSY_LOOKS:
                self.settle()
                idle, busy, settled = 0, 0, used
