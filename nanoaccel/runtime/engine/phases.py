"""The phases of a step, and the seam for what watches them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Protocol, get_args

from nanoaccel.runtime.types.plan import StepPlan

Phase = Literal["schedule", "draft", "forward", "verify", "sample", "detokenize", "other"]
PHASES: tuple[Phase, ...] = get_args(Phase)

_NOTHING = nullcontext()


class StepObserver(Protocol):
    """Watches an engine's steps, in the engine's thread; must be quick and never raise."""

    def phase(self, name: Phase) -> AbstractContextManager[object]:
        """A context that is open during a phase.

        Phases nest: the whole step is "other", "sample" and "detokenize" lie inside "verify".
        """
        ...

    def planned(self, plan: StepPlan) -> None:
        """Note the batch that goes through the graph next; valid during the step."""
        ...


class Unobserved:
    """Watches nothing."""

    def phase(self, name: Phase) -> AbstractContextManager[object]:  # noqa: ARG002 - any phase
        """A context that does nothing."""
        return _NOTHING

    def planned(self, plan: StepPlan) -> None:
        """Note nothing."""
