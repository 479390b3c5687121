"""The learning: passes over windows of text until the time is over."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nanoaccel.finetune.recovery.learning.divergence import backward
from nanoaccel.finetune.recovery.learning.student import Student
from nanoaccel.finetune.train.head import Halves
from nanoaccel.finetune.train.loss import chunk_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PASS_TOKENS = 1024
_BETAS = (0.9, 0.98)
_WARM_UP = 0.03  # share of the time
_FIRST = 1e-3  # of the time, with which the rise begins
_FLOOR = 0.02  # of the rates, at the end
_RECENT = 8  # passes

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How far a step goes, at the most.

    Args:
        scales: As a share of each scale.
        zeros: In units of codes.
    """

    scales: float = 2e-3
    zeros: float = 2e-2


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass that was made.

    Args:
        tokens: Tokens of all passes so far.
        divergence: KL of the last passes, nats a token.
        seconds_left: Until the time is over.
        share: Share of the time that is gone.
    """

    tokens: int
    divergence: float
    seconds_left: float
    share: float


class Learner:
    """Teaches a student what its teacher predicts.

    Args:
        student: The bundle's model.
        teacher: The original.
        windows: Text, i64[L] each, of one length.
        rates: How far steps go.
        seed: Seed of the order of windows.

    Attributes:
        tokens: Tokens that were read.
        divergences: KL of each pass, nats a token, before its step.
    """

    def __init__(
        self,
        student: Student,
        teacher: PreTrainedModel,
        windows: Sequence[NDArray[np.int64]],
        rates: Rates,
        seed: int,
    ) -> None:
        self._student, self._windows, self._seed = student, windows, seed
        self._own, self._teacher = Halves(student.model), Halves(teacher)
        self._rows = chunk_rows(student.model.config.get_text_config().vocab_size)
        self._rates = rates
        matrices = student.matrices.values()
        self._groups = [
            {"params": [one.gain for one in matrices], "lr": 0.0},
            {"params": [one.zero for one in matrices if one.learns_zeros], "lr": 0.0},
        ]
        self._groups = [group for group in self._groups if group["params"]]
        self._optimizer = torch.optim.Adam(self._groups, betas=_BETAS)
        self._known: dict[int, Tensor] = {}
        self.tokens = 0
        self.divergences: list[float] = []

    def run(
        self, seconds: float, stopped: Event, tell: Callable[[Pass], None], clock: Clock
    ) -> None:
        """Learn until the time is over, or it is stopped.

        Args:
            seconds: Time for it.
            stopped: Ends it after the pass that it is set in.
            tell: Called after each pass.
            clock: Gives the time, in seconds.
        """
        began = clock()
        longest = 0.0
        for numbers in self._batches():
            gone = clock() - began
            if stopped.is_set() or gone + longest > seconds:
                break
            self._set_rates(gone / seconds)
            self.divergences.append(self._pass(numbers))
            longest = max(longest, clock() - began - gone)
            gone = clock() - began
            recent = self.divergences[-_RECENT:]
            mean = sum(recent) / len(recent)
            tell(Pass(self.tokens, mean, max(0.0, seconds - gone), min(1.0, gone / seconds)))

    def _batches(self) -> Iterator[list[int]]:
        """Numbers of the windows of each pass, epoch after epoch."""
        many = max(1, PASS_TOKENS // len(self._windows[0]))
        for epoch in range(1 << 30):
            order = list(range(len(self._windows)))
            random.Random(f"{self._seed} {epoch}").shuffle(order)
            for begin in range(0, len(order), many):
                yield order[begin : begin + many]

    def _pass(self, numbers: Sequence[int]) -> float:
        ids = torch.from_numpy(np.stack([self._windows[number] for number in numbers]))
        wanted = self._wanted(numbers, ids)
        states = self._own.states(ids).flatten(0, 1)
        loss = backward(states, wanted, self._own.logits, self._teacher.logits, self._rows)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.tokens += ids.numel()
        return loss

    def _wanted(self, numbers: Sequence[int], ids: Tensor) -> Tensor:
        """The teacher's states [R, H], which take little room, and are computed once."""
        if any(number not in self._known for number in numbers):
            with torch.no_grad():
                self._known.update(zip(numbers, self._teacher.states(ids), strict=True))
        return torch.cat([self._known[number] for number in numbers])

    def _set_rates(self, share: float) -> None:
        """A short rise, then a cosine, by the share of the time that is gone."""
        falling = _FLOOR + (1 - _FLOOR) * (1 + math.cos(math.pi * share)) / 2
        factor = min(1.0, (share + _FIRST) / _WARM_UP) * falling
        rates = (self._rates.scales, self._rates.zeros)
        for group, rate in zip(self._optimizer.param_groups, rates, strict=False):
            group["lr"] = rate * factor
