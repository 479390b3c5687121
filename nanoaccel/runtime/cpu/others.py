"""How much of some CPUs other programs use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nanoaccel.runtime.cpu.files import read_text

# Of a line in /proc/stat: user, nice, system, irq, softirq, steal; without idle and iowait.
_BUSY = (0, 1, 2, 5, 6, 7)


class OthersMeter:
    """Measures from when it is made.

    Args:
        cpus: CPUs whose use counts.
        root: Where /proc is.
        clock: Seconds that pass.
        own: Seconds of CPU time that this process has used.
    """

    def __init__(
        self,
        cpus: Sequence[int],
        *,
        root: Path = Path("/"),
        clock: Callable[[], float] = time.perf_counter,
        own: Callable[[], float] = time.process_time,
    ) -> None:
        self._cpus, self._root, self._clock, self._own = cpus, root, clock, own
        self._begun, self._own_begun = clock(), own()
        self._busy_begun = self._busy()

    def used(self) -> float | None:
        """CPUs that others have used on average; None where the system does not tell."""
        busy, seconds = self._busy(), self._clock() - self._begun
        if busy is None or self._busy_begun is None or seconds <= 0:
            return None
        own = self._own() - self._own_begun
        return max(0.0, (busy - self._busy_begun - own) / seconds)

    def _busy(self) -> float | None:
        """Seconds of CPU time that all programs have used."""
        text = read_text(self._root / "proc/stat")
        wanted = {f"cpu{cpu}" for cpu in self._cpus}
        ticks, lines = 0, 0
        for line in () if text is None else text.splitlines():
            name, *fields = line.split() or [""]
            if name not in wanted or len(fields) <= max(_BUSY):
                continue
            if not all(fields[place].isdecimal() for place in _BUSY):
                return None
            lines += 1
            ticks += sum(int(fields[place]) for place in _BUSY)
        return ticks / os.sysconf("SC_CLK_TCK") if lines == len(wanted) and ticks > 0 else None
