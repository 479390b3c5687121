"""Opens a bundle and notes what each part of that takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from nanoaccel.bundle import Bundle
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.engine import client
from nanoaccel.runtime.execution import target
from nanoaccel.runtime.tools.profiling.clock import NestedClock, replace_attribute
from nanoaccel.runtime.tools.profiling.facts import ColdStart
from nanoaccel.text import Tokenizer

_ORDER = ("import", "open", "tokenizer", "compile", "cache", "engine", "first pass")


class StartClock:
    """Adds up the phases of a start.

    Args:
        now: Gives the time in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._clock: NestedClock[str] = NestedClock(now)
        self._added = dict.fromkeys(_ORDER, 0.0)

    def add(self, phase: str, seconds: float) -> None:
        """Note what was timed elsewhere."""
        self._added[phase] += seconds

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Time the parts of what is opened in the block."""
        # They are functions that the loading code finds by name: there is no object yet to wrap.
        targets: tuple[tuple[Any, str, str], ...] = (
            (BACKENDS, "resolve", "import"),
            (Bundle, "open", "open"),
            (Tokenizer, "load", "tokenizer"),
            (target, "open_backend", "compile"),
            (target, "add_cache", "cache"),
            (client, "start_engine", "engine"),
        )
        with ExitStack() as stack:
            for owner, name, phase in targets:
                timed: Any = self._clock.around(phase, getattr(owner, name))
                if isinstance(vars(owner).get(name), classmethod):
                    timed = staticmethod(timed)  # its class is bound already
                replace_attribute(stack, owner, name, timed)
            self._clock.enter("engine")
            try:
                yield
            finally:
                self._clock.leave()

    def result(self) -> ColdStart:
        """The phases so far."""
        totals = dict(self._added)
        for name, begin, end in self._clock.spans:
            totals[name] += end - begin
        return ColdStart(tuple(totals.items()))
