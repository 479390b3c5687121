"""Notes where the steps of an engine spend their time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nanoaccel.runtime.engine.engine import Engine
from nanoaccel.runtime.engine.phases import Phase, StepObserver
from nanoaccel.runtime.tools.profiling.steps import Span, StepRecord
from nanoaccel.runtime.types.plan import StepPlan


class Profiler:
    """Notes the phases of each step between ``attach`` and ``detach``; a ``StepObserver``.

    Args:
        engine: The engine to watch.
        now: Gives the time in seconds.

    Attributes:
        steps: What was noted.
    """

    def __init__(self, engine: Engine, now: Callable[[], float] = time.perf_counter) -> None:
        self._engine = engine
        self._now = now
        self._before: StepObserver | None = None
        self._running = threading.Lock()  # held during a step
        self._plan: StepPlan | None = None
        self._begun: list[tuple[Phase, float]] = []
        self.steps: list[StepRecord] = []

    def __enter__(self) -> Profiler:
        self.attach()
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def attach(self) -> None:
        """Note steps from now on."""
        self._before, self._engine.observer = self._engine.observer, self

    def detach(self) -> None:
        """Note nothing more, once the step that runs has ended. Calling it twice is fine."""
        with self._running:
            if self._before is not None:
                self._engine.observer = self._before
            self._before = None

    def begin_step(self) -> None:
        """Begin a record."""
        self._running.acquire()
        self._plan = None
        self._begun = []
        self.begin("other")

    def begin(self, phase: Phase) -> None:
        """Note when a phase begins."""
        self._begun.append((phase, self._now()))

    def planned(self, plan: StepPlan) -> None:
        """Note the batch of the step."""
        self._plan = plan

    def end_step(self) -> None:
        """Keep the record."""
        ends = [*(begin for _, begin in self._begun[1:]), self._now()]
        spans = tuple(
            Span(phase, begin, end)
            for (phase, begin), end in zip(self._begun, ends, strict=True)
            if end > begin
        )
        if spans and self._before is not None:  # not detached meanwhile
            self.steps.append(_record(spans, self._plan))
        self._running.release()


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
