"""The progress of an export: stages, times and memory."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import psutil

_HEARTBEAT = 2.0  # seconds
_SAMPLING = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class StageEvent:
    """A stage began, goes on, or ended.

    Args:
        stage: What is done, in words.
        seconds: How long it took; None as long as it goes on.
        memory: Anonymous memory of the process, bytes; what is mapped from files does not count.
        done: Share of its part that is done, where it tells.
        part: What of the stage is done just now, where it tells.
        size: Bytes of weights that this part goes through, where it tells.
    """

    stage: str
    seconds: float | None
    memory: int
    done: float | None = None
    part: str = ""
    size: int = 0


Listener = Callable[[StageEvent], None]


class Tell(Protocol):
    """Reports how far a stage is."""

    def __call__(self, done: float, part: str = "", size: int = 0) -> None:
        """Report the share of the stage, or of a part of so many bytes, that is done."""


def silence(done: float, part: str = "", size: int = 0) -> None:
    """Report nothing."""


def release_memory() -> None:
    """Give memory that was freed back to the system, which the C library keeps otherwise."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def rare_collections() -> Iterator[Callable[[], None]]:
    """Let Python look rarely for cycles of garbage inside the block: ends of stages do.

    Torch, transformers and NNCF leave a million objects that live as long as the process; to walk
    through them takes a quarter of a second each time.

    Yields:
        What leaves all objects of now out of that, until the block ends.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, *before[1:])
    try:
        yield gc.freeze
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


class Progress:
    """Measures the stages and tells a listener.

    Args:
        listener: Called at the begin and at the end of each stage, and in between; by one thread
            at a time.
        heartbeat: Seconds until it is told again of a stage that says nothing.

    Attributes:
        listener: The listener.
        peak_memory: The most anonymous memory that was seen, bytes.
        model_type: Type of the model that is exported, as soon as it is known.
        doing: The stage that began last.
    """

    def __init__(self, listener: Listener, heartbeat: float = _HEARTBEAT) -> None:
        self.listener = listener
        self._heartbeat = heartbeat
        self._lock = threading.Lock()
        self._process: psutil.Process | None = None
        self.peak_memory = 0
        self.seconds: dict[str, float] = {}
        self.model_type: str | None = None
        self.doing = "begin"

    @contextmanager
    def stage(self, name: str) -> Iterator[Tell]:
        """Time a stage; errors pass through.

        It gives a function that may be told which share of the stage is done.
        """
        begin = time.perf_counter()
        release_memory()  # now, as the stage before still held what it worked with at its end
        known: tuple[float | None, str, int] = (None, "", 0)
        self.doing = name
        ended = threading.Event()

        def tell(done: float, part: str = "", size: int = 0) -> None:
            nonlocal known
            known = (done, part, size)
            self._say(StageEvent(name, None, self._memory(), *known))

        def beat() -> None:
            told = time.monotonic()
            while not ended.wait(min(_SAMPLING, self._heartbeat)):
                memory = self._memory()
                if time.monotonic() - told >= self._heartbeat:
                    told = time.monotonic()
                    self._say(StageEvent(name, None, memory, *known))

        self._say(StageEvent(name, None, self._memory()))
        heart = threading.Thread(target=beat, name="progress", daemon=True)
        heart.start()
        try:
            yield tell
        finally:
            ended.set()
            heart.join()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin
        self._say(StageEvent(name, time.perf_counter() - begin, self._memory()))

    def _say(self, event: StageEvent) -> None:
        with self._lock:
            self.listener(event)

    def _memory(self) -> int:
        import psutil

        if self._process is None:
            self._process = psutil.Process()
        found = self._process.memory_info()
        held = int(found.rss) - int(getattr(found, "shared", 0))  # what Linux counts as of files
        self.peak_memory = max(self.peak_memory, held)
        return held
