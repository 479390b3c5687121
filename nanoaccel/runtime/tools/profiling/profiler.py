"""Notes where the steps of an engine spend their time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from nanoaccel.runtime.engine.engine import Engine
from nanoaccel.runtime.engine.phases import PHASES, Phase, StepObserver
from nanoaccel.runtime.tools.profiling.clock import NestedClock
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
        self._clock: NestedClock[Phase] = NestedClock(now)
        self._phases: dict[Phase, AbstractContextManager[object]] = {
            phase: self._clock.part(phase) for phase in PHASES
        }
        self._phases["other"] = _Step(self._begin, self._end)
        self._before: StepObserver | None = None
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
        self._before, self._engine.observer = self._engine.observer, self

    def detach(self) -> None:
        """Note nothing more, once the step that runs has ended. Calling it twice is fine."""
        with self._running:
            if self._before is not None:
                self._engine.observer = self._before
            self._before = None

    def phase(self, name: Phase) -> AbstractContextManager[object]:
        """A context that is open during a phase."""
        return self._phases[name]

    def planned(self, plan: StepPlan) -> None:
        """Note the batch of the step."""
        self._plan = plan

    def _begin(self) -> None:
        self._running.acquire()
        self._plan = None
        self._clock.take()  # the end of a step that began before ``attach``
        self._clock.enter("other")

    def _end(self) -> None:
        self._clock.leave()
        spans = tuple(Span(*span) for span in self._clock.take())
        if spans and self._before is not None:  # not detached meanwhile
            self.steps.append(_record(spans, self._plan))
        self._running.release()


class _Step(AbstractContextManager[None]):
    """A whole step."""

    def __init__(self, begin: Callable[[], None], end: Callable[[], None]) -> None:
        self._begin = begin
        self._end = end

    def __enter__(self) -> None:
        self._begin()

    def __exit__(self, *_: object) -> None:
        self._end()


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
