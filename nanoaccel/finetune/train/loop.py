"""The training itself, step by step."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from nanoaccel.errors import ConfigError
from nanoaccel.finetune.data.encode import Example
from nanoaccel.finetune.events import Evaluated, Listener, Stepped
from nanoaccel.finetune.interrupt import interruptible
from nanoaccel.finetune.train.batches import Step, plan_epoch
from nanoaccel.finetune.train.checkpoint import Checkpoints
from nanoaccel.finetune.train.history import History
from nanoaccel.finetune.train.judging import Judge
from nanoaccel.finetune.train.options import TrainingOptions
from nanoaccel.finetune.train.passes import Passes
from nanoaccel.finetune.train.weights import TrainedWeights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_WARM_UP = 0.05  # share of the steps
_FLOOR = 0.05  # of the learning rate, at the last step
_LONGEST_GRADIENT = 1.0
_BETAS = (0.9, 0.99)
_SAVE_SECONDS = 60.0
_RECENT = 10  # steps that the speed is of


def plan_steps(lengths: Sequence[int], options: TrainingOptions, *, packed: bool) -> list[Step]:
    """All steps of a training; a last epoch that is not whole has its share of steps."""
    steps: list[Step] = []
    for epoch in range(math.ceil(options.epochs)):
        found = plan_epoch(
            lengths,
            pass_tokens=options.tokens_of_pass,
            batch_tokens=options.batch_tokens,
            seed=options.seed,
            epoch=epoch,
            packed=packed,
        )
        share = min(1.0, options.epochs - epoch)
        steps += found[: max(1, math.ceil(share * len(found)))]
    return steps


class Training:
    """One training of a model.

    Args:
        model: The model; what requires gradients is trained.
        passes: Computes its losses.
        examples: What it learns.
        judge: Judges it.
        options: How it learns.
        checkpoints: Where it is saved.
        key: What a checkpoint must have been made with.
        listener: Told of each step and evaluation.
        save_seconds: Time between two checkpoints.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        passes: Passes,
        examples: Sequence[Example],
        judge: Judge,
        options: TrainingOptions,
        checkpoints: Checkpoints,
        key: Mapping[str, str],
        listener: Listener,
        save_seconds: float = _SAVE_SECONDS,
    ) -> None:
        self._model = model
        self._passes = passes
        self._examples = examples
        self._judge = judge
        self._options = options
        self._checkpoints = checkpoints
        self._key = dict(key)
        self._listener = listener
        self._save_seconds = save_seconds
        self.weights = TrainedWeights(model)
        self._steps = plan_steps([*map(len, examples)], options, packed=passes.packs)
        self._optimizer = torch.optim.AdamW(
            self.weights.masters.values(),
            lr=options.rate,
            betas=_BETAS,
            weight_decay=options.weight_decay,
        )
        self._judged = {
            math.ceil(len(self._steps) * (i + 1) / options.evaluations)
            for i in range(options.evaluations)
        }
        self.history = History()

    @property
    def plan(self) -> Sequence[Step]:
        """The steps, each with passes, each with numbers of examples."""
        return self._steps

    @property
    def steps(self) -> int:
        """Steps in all."""
        return len(self._steps)

    @property
    def evaluations(self) -> int:
        """Evaluations in all, the one before the first step included."""
        return len(self._judged) + 1

    @property
    def tokens(self) -> int:
        """Tokens of all steps."""
        return sum(len(self._examples[i]) for step in self._steps for one in step for i in one)

    def run(self, *, resume: bool) -> History:
        """Train, and leave the best weights in the model.

        Args:
            resume: Whether the last checkpoint is gone on from.

        Raises:
            ConfigError: The checkpoint is of another training.
            ExportError: The disk is full at a checkpoint.
            KeyboardInterrupt: Ctrl-C was pressed; a checkpoint was written then.
        """
        torch.manual_seed(self._options.seed)
        begin = self._restore() if resume else 0
        self._model.train()
        if begin == 0:
            self._evaluate(0)
        saved = time.monotonic()
        recent: deque[tuple[int, float]] = deque(maxlen=_RECENT)
        with interruptible() as interrupted:
            for step in range(begin, self.steps):
                self._step(step, recent)
                judged = step + 1 in self._judged
                if judged:
                    self._evaluate(step + 1)
                late = time.monotonic() - saved > self._save_seconds
                if judged or late or interrupted.is_set() or step + 1 == self.steps:
                    self._save(step + 1)
                    saved = time.monotonic()
                if interrupted.is_set():
                    raise KeyboardInterrupt
                if self._is_over():
                    break
        best = self._checkpoints.load_best()
        if best is not None:
            self.weights.restore(best)
        return self.history

    def _step(self, number: int, recent: deque[tuple[int, float]]) -> None:
        began = time.perf_counter()
        passes = [[self._examples[i] for i in one] for one in self._steps[number]]
        learned = sum(int(one.taught[1:].sum()) for texts in passes for one in texts)
        rate = self._options.rate * _share(number, self.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self.weights.clear()
        total = 0.0
        for texts in passes:
            total += self._passes.backward(texts, 1 / learned)[0]
            self.weights.collect()
        torch.nn.utils.clip_grad_norm_(self.weights.masters.values(), _LONGEST_GRADIENT)
        self._optimizer.step()
        self.weights.clear()
        self.weights.publish()
        tokens = sum(len(one) for texts in passes for one in texts)
        recent.append((tokens, time.perf_counter() - began))
        history = self.history
        history.losses.append(total / learned)
        history.rates.append(rate)
        history.tokens += tokens
        history.seconds += recent[-1][1]
        seconds = sum(one for _, one in recent)
        self._listener(
            Stepped(
                step=number + 1,
                steps=self.steps,
                loss=total / learned,
                rate=rate,
                tokens=history.tokens,
                tokens_per_second=sum(one for one, _ in recent) / seconds,
                seconds_left=(self.steps - number - 1) * seconds / len(recent),
            )
        )

    def _evaluate(self, step: int) -> None:
        loss = self._judge.loss()
        best = self.history.best
        better = loss is not None and (best is None or best.loss is None or loss < best.loss)
        found = Evaluated(step, loss, self._judge.samples(), better)
        self.history.evaluations.append(found)
        if better:
            self._checkpoints.save_best(self.weights.values())
        self._listener(found)

    def _is_over(self) -> bool:
        patience = self._options.patience
        return patience is not None and self.history.since_best >= patience

    def _save(self, step: int) -> None:
        self._checkpoints.save(
            step,
            {
                "key": self._key,
                "step": step,
                "weights": self.weights.values(),
                "optimizer": self._optimizer.state_dict(),
                "random": torch.get_rng_state(),
                "history": self.history.to_state(),
            },
        )

    def _restore(self) -> int:
        """Go on from the last checkpoint; gives the steps that are done."""
        state = self._checkpoints.load()
        if state is None:
            return 0
        check_key(state["key"], self._key)
        self.weights.restore(state["weights"])
        self._optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        self.history = History.from_state(state["history"])
        # An early stop is decided again: the patience may have been raised.
        return self.steps if self._is_over() else int(state["step"])


def check_key(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another training.

    Raises:
        ConfigError: It is; the message names what differs.
    """
    for name, value in wanted.items():
        if found.get(name) != value:
            raise ConfigError(
                f"the training that was stopped had {name}={found.get(name)}, this one {value}",
                "Give the same, or begin anew with --overwrite",
            )


def _share(step: int, steps: int) -> float:
    """Share of the learning rate: a short warm-up, then a cosine."""
    warm = max(1, round(_WARM_UP * steps))
    falling = _FLOOR + (1 - _FLOOR) * (1 + math.cos(math.pi * step / steps)) / 2
    return min(1.0, (step + 1) / warm) * falling
