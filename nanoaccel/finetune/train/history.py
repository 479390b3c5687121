"""What happened in a training, step by step."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from nanoaccel.finetune.events import Evaluated, Sample


@dataclass(slots=True)
class History:
    """The course of a training; it survives a stop.

    Args:
        losses: Of each step.
        rates: Learning rate of each step.
        evaluations: In their order.
        tokens: Tokens that were computed.
        seconds: Of the steps.
    """

    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    evaluations: list[Evaluated] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0

    @property
    def best(self) -> Evaluated | None:
        """The evaluation with the lowest loss."""
        judged = [one for one in self.evaluations if one.loss is not None]
        return min(judged, key=_loss, default=None)

    @property
    def since_best(self) -> int:
        """Evaluations since the best one."""
        best = self.best
        return 0 if best is None else len(self.evaluations) - 1 - self.evaluations.index(best)

    def to_state(self) -> dict[str, Any]:
        """Plain values, for a checkpoint or a report."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> History:
        """The history of ``to_state``."""
        evaluations = [
            Evaluated(
                one["step"],
                one["loss"],
                tuple(Sample(**sample) for sample in one["samples"]),
                one["best"],
            )
            for one in state["evaluations"]
        ]
        return cls(**{**state, "evaluations": evaluations})


def _loss(one: Evaluated) -> float:
    return float("inf") if one.loss is None else one.loss
