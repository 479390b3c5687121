"""What an export tells while it works: the stage, the time and the memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageEvent:
    """A stage began, went on, or ended.

    Args:
        stage: What is done, in words.
        seconds: How long it took; None when it just began.
        memory: Resident memory of the process, bytes.
        done: Share of the stage that is done, where it tells.
    """

    stage: str
    seconds: float | None
    memory: int
    done: float | None = None


Listener = Callable[[StageEvent], None]


class Progress:
    """Measures the stages and tells a listener.

    Args:
        listener: Called at the begin and at the end of each stage, and in long ones now and then.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.peak_memory = 0
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None]]:
        """Everything inside belongs to the stage; an error passes through.

        It gives a function that may be told which share of the stage is done.
        """
        begin = time.perf_counter()
        self._listener(StageEvent(name, None, self._memory()))
        yield lambda done: self._listener(StageEvent(name, None, self._memory(), done))
        self.seconds[name] = time.perf_counter() - begin
        self._listener(StageEvent(name, self.seconds[name], self._memory()))

    def _memory(self) -> int:
        import psutil

        resident = int(psutil.Process().memory_info().rss)
        self.peak_memory = max(self.peak_memory, resident)
        return resident
