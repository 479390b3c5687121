"""What the multipliers of this CPU do at most, as the operators use them."""

from __future__ import annotations

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor

from nanoaccel.runtime.native.library import Operators, find_operators

_LEAST_RUNS = 3
_LEAST_SECONDS = 0.004  # of a run: threads take some time to begin


def int8_products(
    threads: int, seconds: float = 0.3, operators: Operators | None = None
) -> float | None:
    """Products of int8 a second, all threads together; None without the operators.

    Each thread multiplies numbers that it holds in registers. The best of some runs counts.

    Args:
        threads: Threads that multiply.
        seconds: How long.
        operators: What is measured; None is what is used here.
    """
    used = find_operators() if operators is None else operators
    if used.library is None or used.path is None:
        return None
    multiply = ctypes.CDLL(str(used.library)).nanoaccel_multiply_peak
    multiply.restype = ctypes.c_int64
    path = used.path.encode()
    with ThreadPoolExecutor(threads) as pool:

        def run(rounds: int) -> tuple[int, float]:
            begun = time.perf_counter()
            done = pool.map(lambda _: multiply(path, ctypes.c_int64(rounds)), range(threads))
            return sum(done), time.perf_counter() - begun

        rounds = 1 << 8
        while run(rounds)[1] < _LEAST_SECONDS:
            rounds *= 2
        end, rates = time.perf_counter() + seconds, list[float]()
        while len(rates) < _LEAST_RUNS or time.perf_counter() < end:
            products, taken = run(rounds)
            rates.append(products / taken)
    return max(rates)
