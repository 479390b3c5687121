"""What is noted of each step of an engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nanoaccel.runtime.engine.phases import PHASES, Phase


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a step's time that belongs to one phase alone; seconds of ``perf_counter``."""

    phase: Phase
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step.

    Args:
        spans: One behind the other, without gaps.
        tokens: Tokens that went through the graph; 0 if nothing did.
        sequences: Sequences that they belong to.
        context: Tokens that attention read, these included, of all sequences together.
        decodes: Whether all tokens have logits: it is no piece of a prompt.
    """

    spans: tuple[Span, ...]
    tokens: int
    sequences: int
    context: int
    decodes: bool

    @property
    def begin(self) -> float:
        """When it began."""
        return self.spans[0].begin

    @property
    def end(self) -> float:
        """When it ended."""
        return self.spans[-1].end

    @property
    def seconds(self) -> float:
        """What it took."""
        return self.end - self.begin

    def of(self, phase: Phase) -> float:
        """Seconds of a phase."""
        return sum(span.end - span.begin for span in self.spans if span.phase == phase)


def phase_seconds(steps: Iterable[StepRecord]) -> dict[Phase, float]:
    """Seconds of each phase in all steps."""
    totals = dict.fromkeys(PHASES, 0.0)
    for step in steps:
        for span in step.spans:
            totals[span.phase] += span.end - span.begin
    return totals
