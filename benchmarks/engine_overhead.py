"""What the engine adds to the bare graph call, as a share of a decode step.

    python benchmarks/engine_overhead.py BUNDLE

Both are timed in the same steps: the whole step from outside, and the graph call inside it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from workers import machine

from nanoaccel import LLM, SamplingParams

SAMPLING = {"temperature": 0.8, "top_k": 50, "top_p": 0.95, "repetition_penalty": 1.1, "seed": 1}


class TimedRequest:
    """OpenVINO's inference request, with the time of its calls added up."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self.seconds = 0.0

    def infer(self, **options: Any) -> None:
        begin = time.perf_counter()
        self._request.infer(**options)
        self.seconds += time.perf_counter() - begin

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)


def overhead(llm: LLM, batch: int, params: SamplingParams, steps: int) -> float:
    """Median share of a step outside of the graph call, ``batch`` sequences decoding."""
    engine, backend = llm._engine, llm._backend  # the seam under test
    timed = TimedRequest(backend._request)
    backend._request = timed
    streams = [llm.stream([1000 + place] * 64, params) for place in range(batch)]
    for stream in streams:
        next(stream)
    for _ in range(5):
        engine.step()
    shares = []
    for _ in range(steps):
        timed.seconds = 0.0
        begin = time.perf_counter()
        engine.step()
        whole = time.perf_counter() - begin
        shares.append((whole - timed.seconds) / whole)
    backend._request = timed._request
    for stream in streams:
        stream.close()
    return statistics.median(shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--steps", type=int, default=150)
    arguments = parser.parse_args()
    print(f"{machine()}; medians of {arguments.steps} steps\n")
    print("| batch | sampling | outside the graph call |\n| --- | --- | --- |")
    with LLM(arguments.bundle) as llm:
        for batch in (1, 4, 16):
            for name, options in (("greedy", {}), ("top-k, top-p, penalty", SAMPLING)):
                params = SamplingParams(max_tokens=1000, ignore_eos=True, **options)
                share = overhead(llm, batch, params, arguments.steps)
                print(f"| {batch} | {name} | {share:.1%} |")


if __name__ == "__main__":
    main()
