"""What memory and multipliers of this machine do, measured here and now."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.cpu.memory import free_memory
from nanoaccel.runtime.native.int8_rate import int8_products
from nanoaccel.runtime.tools.profiling.facts import MachineSpeed

_BUFFER = 512 << 20  # bytes: far more than any cache holds
_FREE_SHARE = 0.2  # of the free memory at most
_PIECE = 1 << 20  # bytes that a thread reads at a time, so that none waits long for the slowest
_SIZE = 1024  # of the square matrices
_SECONDS = 1.0
_LEAST_RUNS = 3


def measure_machine(threads: int, seconds: float = _SECONDS) -> MachineSpeed:
    """Measure; the best of some runs counts, as other programs only ever slow them.

    Args:
        threads: Threads that read: those of the plan.
        seconds: For each of the figures.
    """
    return MachineSpeed(
        read_bandwidth(threads, seconds),
        f32_compute(seconds),
        threads,
        int8_products(threads, seconds),
    )


def read_bandwidth(threads: int, seconds: float = _SECONDS, buffer: int = _BUFFER) -> float:
    """Bytes a second that threads read, each a part of one buffer, with numpy's sum of u64."""
    size = max(threads * _PIECE, min(buffer, int(free_memory() * _FREE_SHARE)))
    parts = np.array_split(np.ones(size // 8, np.uint64), threads)
    piece = _PIECE // 8

    def read(part: NDArray[np.uint64]) -> None:
        for begin in range(0, len(part), piece):
            np.add.reduce(part[begin : begin + piece])

    with ThreadPoolExecutor(threads) as pool:
        least = _least_seconds(lambda: list(pool.map(read, parts)), seconds)
    return sum(part.nbytes for part in parts) / least


def f32_compute(seconds: float = _SECONDS, size: int = _SIZE) -> float:
    """f32 operations a second of a matrix product in numpy, with the threads that it chooses."""
    first = np.ones((size, size), np.float32)
    out = np.empty_like(first)
    least = _least_seconds(lambda: np.matmul(first, first, out=out), seconds)
    return 2.0 * float(size) ** 3 / least


def _least_seconds(work: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest run, of as many as fit."""
    work()  # warm-up
    end = time.perf_counter() + seconds
    found: list[float] = []
    while len(found) < _LEAST_RUNS or time.perf_counter() < end:
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return min(found)
