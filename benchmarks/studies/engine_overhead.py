"""What the engine adds to the bare graph call, as a share of a decode step.

    python -m benchmarks.studies.engine_overhead BUNDLE

The whole step is timed from outside, and inside it the graph call, all of speculation, and the
drafter's own work, which is not the controller's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.harness.figures import table_head, table_row
from benchmarks.harness.machine import machine
from nanoaccel import LLM, SamplingParams

SAMPLING = {"temperature": 0.8, "top_k": 50, "top_p": 0.95, "repetition_penalty": 1.1, "seed": 1}


class Stopwatch:
    """Adds up the time of calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, owner: Any, name: str) -> None:
        """Time a method of an object from now on."""
        method: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - begin

        setattr(owner, name, timed)


def _graph_call(backend: Any) -> Any:
    """What has the method ``run`` that calls the graph."""
    return backend._copies if backend.info.name == "openvino" else backend._graph._binding


class TimedSteps:
    """Steps of the engine, in its own thread, with the shares of their parts."""

    def __init__(self, llm: LLM) -> None:
        engine: Any = llm.client.thread.engine
        self._graph, self._speculation, self._drafter = Stopwatch(), Stopwatch(), Stopwatch()
        self._graph.around(_graph_call(engine.runner.backend), "run")
        for name in ("extend", "learn", "settle"):
            self._speculation.around(engine._speculator, name)
        for state in engine._speculator._states:
            self._drafter.around(state.drafter, "propose")
        self._step = engine.step
        self.outside: list[float] = []
        self.controller: list[float] = []
        self.drafter: list[float] = []
        engine.step = self._measure

    def _measure(self) -> None:
        self._graph.seconds = self._speculation.seconds = self._drafter.seconds = 0.0
        begin = time.perf_counter()
        self._step()
        whole = time.perf_counter() - begin
        self.outside.append((whole - self._graph.seconds) / whole)
        self.controller.append((self._speculation.seconds - self._drafter.seconds) / whole)
        self.drafter.append(self._drafter.seconds / whole)


def shares(llm: LLM, steps: TimedSteps, batch: int, params: SamplingParams) -> list[float]:
    """Of decode steps, medians: outside the graph call, controller, drafter."""
    kinds = (steps.outside, steps.controller, steps.drafter)
    for kind in kinds:
        kind.clear()
    llm.generate([[1000 + number] * 64 for number in range(batch)], params)
    return [statistics.median(kind) for kind in kinds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--steps", type=int, default=150)
    arguments = parser.parse_args()
    print(f"{machine()}; medians of {arguments.steps} steps\n")
    header = ["batch", "sampling", "outside the graph call", "of that controller", "n-gram lookup"]
    print(table_head(header))
    with LLM(arguments.bundle, prefix_cache=False, speculation="ngram", replicas=1) as llm:
        steps = TimedSteps(llm)
        for batch in (1, 4, 16):
            for name, options in (("greedy", {}), ("top-k, top-p, penalty", SAMPLING)):
                params = SamplingParams(max_tokens=arguments.steps, ignore_eos=True, **options)
                found = shares(llm, steps, batch, params)
                print(table_row([batch, name, *(f"{share:.1%}" for share in found)]))


if __name__ == "__main__":
    main()
