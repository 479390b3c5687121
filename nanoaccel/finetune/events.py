"""What a training tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from nanoaccel.exporters.progress import StageEvent


@dataclass(frozen=True, slots=True)
class Planned:
    """The training is about to begin.

    Args:
        rows: What will be done, a name and a value each.
        warnings: Sentences about the data.
    """

    rows: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step is done.

    Args:
        step: Its number, from 1.
        steps: All of them.
        loss: Mean over its tokens that are learned, nats.
        rate: The learning rate.
        tokens: Tokens since the beginning, those that are only read included.
        tokens_per_second: Of the last steps.
        seconds_left: Until the last step, evaluations apart.
    """

    step: int
    steps: int
    loss: float
    rate: float
    tokens: int
    tokens_per_second: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Sample:
    """An answer to a prompt that is not learned.

    Args:
        prompt: The end of it, as text.
        expected: The answer of the data.
        answer: What the model writes.
    """

    prompt: str
    expected: str
    answer: str


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The model was judged.

    Args:
        step: Steps that were done.
        loss: Of the validation set, nats a token; None where there is none.
        samples: Answers.
        best: Whether no loss was lower so far.
    """

    step: int
    loss: float | None
    samples: tuple[Sample, ...]
    best: bool


Event: TypeAlias = StageEvent | Planned | Stepped | Evaluated
Listener: TypeAlias = Callable[[Event], None]
