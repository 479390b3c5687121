"""How long a training will take, from its largest pass, computed before it begins."""

from __future__ import annotations

import time
from collections.abc import Sequence

from nanoaccel.finetune.data.encode import Example
from nanoaccel.finetune.train.loop import Training
from nanoaccel.finetune.train.passes import Passes

_JUDGING = 0.4  # time of a judged token, of that of a learned one


def seconds_per_token(passes: Passes, training: Training, examples: Sequence[Example]) -> float:
    """Seconds that a token takes; the weights stay as they are.

    The first of two passes makes what the second one finds made, as all later ones do.

    Args:
        passes: Computes the losses.
        training: What will be trained; nothing of it has begun.
        examples: Its examples.
    """
    planned = [one for step in training.plan for one in step]
    largest = max(planned, key=lambda one: sum(len(examples[i]) for i in one))
    texts = [examples[i] for i in largest]
    seconds = 0.0
    for _ in range(2):
        began = time.perf_counter()
        passes.backward(texts, 0.0)
        training.weights.collect()
        seconds = time.perf_counter() - began
    training.weights.clear()
    return seconds / sum(map(len, texts))


def expected_seconds(per_token: float, tokens: int, judged: int) -> float:
    """Seconds of a training.

    Args:
        per_token: As of ``seconds_per_token``.
        tokens: Tokens that are learned from.
        judged: Tokens that all evaluations read.
    """
    return per_token * (tokens + _JUDGING * judged)


def optimizer_bytes(count: int) -> int:
    """Bytes that a step of the optimizer adds: two averages of each number that learns."""
    return 2 * 4 * count
