"""Moves the memory of an engine that lives longer than a moment onto large pages."""

from __future__ import annotations

import threading

from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.engine.engine import Engine

# How many looks at an engine it takes.
_IDLE_LOOKS = 2
_BUSY_LOOKS = 8


class PageCompaction:
    """Moves what was loaded onto large pages, in a thread of its own.

    That keeps a core busy for a while, so it begins when the engine has had nothing to do for half
    a second, or has worked for two: a command that writes one short answer never pays for it.
    Runtimes pack weights at the first pass, which is over by then.

    Args:
        pages: Knows what was loaded.
        engine: Runs it.
        look_seconds: Time between two looks at the engine.
    """

    def __init__(self, pages: HugePages, engine: Engine, look_seconds: float = 0.25) -> None:
        self._look_seconds = look_seconds
        self._pages = pages
        self._engine = engine
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="nanoaccel-pages", daemon=True)
        self._thread.start()

    def run(self) -> None:
        """Do it now, and wait until it is done."""
        with self._lock:
            self._pages.gather(self._closed.is_set)

    def close(self) -> None:
        """Do it no more. Calling it twice is fine."""
        self._closed.set()

    def _watch(self) -> None:
        idle = busy = 0
        while not self._closed.wait(self._look_seconds):
            idle, busy = (0, busy + 1) if self._engine.has_work else (idle + 1, busy)
            if idle >= _IDLE_LOOKS or busy >= _BUSY_LOOKS:
                self.run()
                return
