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


class TimedSteps:
    """Steps of the engine, in its own thread, with the share that is not the graph call."""

    def __init__(self, llm: LLM) -> None:
        engine = llm.session.loop.engine
        backend: Any = engine._backend  # the seam under test
        self._timed = backend._request = TimedRequest(backend._request)
        self._step = engine.step
        self.shares: list[float] = []
        engine.step = self._measure  # type: ignore[method-assign]

    def _measure(self) -> None:
        self._timed.seconds = 0.0
        begin = time.perf_counter()
        self._step()
        whole = time.perf_counter() - begin
        self.shares.append((whole - self._timed.seconds) / whole)


def overhead(llm: LLM, steps: TimedSteps, batch: int, params: SamplingParams) -> float:
    """Median share of a step outside of the graph call, ``batch`` sequences decoding."""
    steps.shares.clear()
    llm.generate([[1000 + place] * 64 for place in range(batch)], params)
    return statistics.median(steps.shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--steps", type=int, default=150)
    arguments = parser.parse_args()
    print(f"{machine()}; medians of {arguments.steps} steps\n")
    print("| batch | sampling | outside the graph call |\n| --- | --- | --- |")
    with LLM(arguments.bundle, prefix_cache=False, speculation="off") as llm:
        steps = TimedSteps(llm)
        for batch in (1, 4, 16):
            for name, options in (("greedy", {}), ("top-k, top-p, penalty", SAMPLING)):
                params = SamplingParams(max_tokens=arguments.steps, ignore_eos=True, **options)
                share = overhead(llm, steps, batch, params)
                print(f"| {batch} | {name} | {share:.1%} |")


if __name__ == "__main__":
    main()
