"""Wraps an engine and notes where its steps spend their time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from nanoaccel.runtime.engine.engine import Engine
from nanoaccel.runtime.tools.profiling.clock import NestedClock, replace_attribute
from nanoaccel.runtime.tools.profiling.steps import Phase, Span, StepRecord
from nanoaccel.runtime.types.plan import StepPlan, StepResult


class Profiler:
    """Notes the phases of each step between ``attach`` and ``detach``.

    It replaces methods of the engine's objects by timed ones, on these objects alone. The engine
    has no code for it, and is what it was when it is detached.

    Args:
        engine: Its requests have ended, or it has none yet, when this is attached.
        now: Gives the time in seconds.

    Attributes:
        steps: What was noted.
    """

    def __init__(self, engine: Engine, now: Callable[[], float] = time.perf_counter) -> None:
        self._engine: Any = engine
        self._now = now
        self._clock: NestedClock[Phase] = NestedClock(now)
        self._stack = ExitStack()
        self._running = threading.Lock()  # held during a step
        self._plan: StepPlan | None = None
        self.steps: list[StepRecord] = []

    def __enter__(self) -> Profiler:
        self.attach()
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def attach(self) -> None:
        """Note steps from now on."""
        engine, speculator = self._engine, self._engine._speculator
        with self._engine.lock:
            self._time(engine, "_schedule", "schedule")
            for name in ("extend", "learn", "settle", "observe"):
                self._time(speculator, name, "draft")
            for backend in {
                id(runner.backend): runner.backend for runner in engine.runners
            }.values():
                self._replace(backend, "forward", self._forward(backend.forward))
            self._replace(engine, "_verify", self._verify(engine._verify))
            self._replace(engine, "step", self._step(engine.step))

    def detach(self) -> None:
        """Note nothing more, once the step that runs has ended. Calling it twice is fine."""
        with self._running, self._engine.lock:
            self._stack.close()

    def _time(self, owner: Any, name: str, phase: Phase) -> None:
        self._replace(owner, name, self._clock.around(phase, getattr(owner, name)))

    def _replace(self, owner: Any, name: str, method: Callable[..., Any]) -> None:
        replace_attribute(self._stack, owner, name, method)

    def _step(self, step: Callable[[], None]) -> Callable[[], None]:
        timed = self._clock.around("other", step)

        def noted() -> None:
            with self._running:
                self._plan = None
                self._clock.take()  # the end of a step that began before ``attach``
                try:
                    timed()
                finally:
                    spans = tuple(Span(*span) for span in self._clock.take())
                    if spans:
                        self.steps.append(_record(spans, self._plan))

        return noted

    def _forward(self, forward: Callable[[StepPlan], StepResult]) -> Callable[..., StepResult]:
        timed = self._clock.around("forward", forward)

        def noted(plan: StepPlan) -> StepResult:
            self._plan = plan
            result: StepResult = timed(plan)
            return result

        return noted

    def _verify(self, verify: Callable[..., Any]) -> Callable[..., Any]:
        """Verification, with the requests that it works on timed for as long as it lasts."""
        timed = self._clock.around("verify", verify)

        def noted(chunk: Any, *arguments: Any) -> Any:
            request = chunk.request
            with ExitStack() as stack:
                for name, phase in (("sample", "sample"), ("append", "detokenize")):
                    method = self._clock.around(phase, getattr(request, name))  # type: ignore[arg-type]
                    replace_attribute(stack, request, name, method)
                return timed(chunk, *arguments)

        return noted


def _record(spans: tuple[Span, ...], plan: StepPlan | None) -> StepRecord:
    if plan is None:
        return StepRecord(spans, 0, 0, 0, decodes=False)
    tokens = len(plan.token_ids)
    return StepRecord(
        spans=spans,
        tokens=tokens,
        sequences=len(plan.past_lens),
        context=tokens + int(plan.past_lens.sum()),
        decodes=len(plan.logits_rows) == tokens,
    )
