"""The phases of a step, and the seam for what watches them."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

from nanoaccel.runtime.types.plan import StepPlan

Phase = Literal["schedule", "draft", "forward", "verify", "sample", "detokenize", "other"]
PHASES: tuple[Phase, ...] = get_args(Phase)


class StepObserver(Protocol):
    """Watches an engine's steps, in the engine's thread; must be quick and never raise."""

    def begin_step(self) -> None:
        """Note that a step begins."""
        ...

    def begin(self, phase: Phase) -> None:
        """Note that a phase of the step begins; the one before it ends."""
        ...

    def planned(self, plan: StepPlan) -> None:
        """Note the batch that goes through the graph next; valid during the step."""
        ...

    def end_step(self) -> None:
        """Note that the step ends, however it went."""
        ...


class Unobserved:
    """Watches nothing."""

    def begin_step(self) -> None:
        """Note nothing."""

    def begin(self, phase: Phase) -> None:
        """Note nothing."""

    def planned(self, plan: StepPlan) -> None:
        """Note nothing."""

    def end_step(self) -> None:
        """Note nothing."""
