"""What is done once for an engine that lives longer than a moment."""

from __future__ import annotations

import threading
from collections.abc import Callable

from nanoaccel.runtime.cpu.huge_pages import HugePages

# Seconds between two looks at an engine, and how many of them it takes.
_LOOK = 0.25
_IDLE_LOOKS = 2
_BUSY_LOOKS = 8


class Settling:
    """Moves what was loaded onto large pages, in a thread of its own.

    That keeps a core busy for a while, so it begins when the engine has had nothing to do for half
    a second, or has worked for two: a command that writes one short answer never pays for it.

    Args:
        pages: What was loaded.
        is_busy: Whether the engine has work.
    """

    def __init__(self, pages: HugePages, is_busy: Callable[[], bool]) -> None:
        self._pages = pages
        self._is_busy = is_busy
        self._closed = threading.Event()
        self._settled = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="nanoaccel-pages", daemon=True)
        self._thread.start()

    def settle(self) -> None:
        """Do it now, or wait until it is done."""
        with self._lock:
            if not self._settled.is_set():
                self._pages.gather(self._closed.is_set)
                self._settled.set()

    def close(self) -> None:
        """Do it no more. Calling it twice is fine."""
        self._closed.set()

    def _watch(self) -> None:
        idle = busy = 0
        while idle < _IDLE_LOOKS and busy < _BUSY_LOOKS:
            if self._closed.wait(_LOOK) or self._settled.is_set():
                return
            idle, busy = (0, busy + 1) if self._is_busy() else (idle + 1, busy)
        self.settle()
