"""Lessons side by side, as tensors."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nanoaccel.finetune.drafts.training_examples import TrainingExample

_BATCH = 2048  # tokens
_LONGEST = 512  # tokens of a lesson that are learned at once
_SPREAD = 64  # tokens by which lessons of a batch may differ in length


@dataclass(frozen=True, slots=True)
class Batch:
    """B lessons, padded to T positions. At a position stands a token and what follows it.

    Args:
        first: i64[B], the token before the first position.
        tokens: i64[B, T].
        features: f32[B, T, L * H], the target's states where it read the token *before*.
        likeliest: i64[B, T, K], what the target found likeliest after the token, best first.
        chances: f32[B, T, K], how likely.
        taught: bool[B, T], whether the target wrote what follows.
    """

    first: Tensor
    tokens: Tensor
    features: Tensor
    likeliest: Tensor
    chances: Tensor
    taught: Tensor


def collate(lessons: Sequence[TrainingExample]) -> Batch:
    """A batch of lessons, each from its beginning."""
    length = min(max(len(lesson.tokens) for lesson in lessons), _LONGEST) - 1

    def stack(column: Callable[[TrainingExample], NDArray[Any]], kind: torch.dtype) -> Tensor:
        rows = [torch.from_numpy(np.array(column(lesson)[:length])).to(kind) for lesson in lessons]
        padded: Tensor = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return padded

    return Batch(
        torch.tensor([int(lesson.tokens[0]) for lesson in lessons]),
        stack(lambda lesson: lesson.tokens[1:], torch.int64),
        stack(lambda lesson: lesson.features[:-1], torch.float32),
        stack(lambda lesson: lesson.likeliest[1:], torch.int64),
        stack(lambda lesson: lesson.chances[1:], torch.float32),
        stack(lambda lesson: lesson.taught[1:], torch.bool),
    )


def plan_batches(lessons: Sequence[TrainingExample], seed: int, epoch: int) -> list[list[int]]:
    """Numbers of lessons of about the same length together, in random order."""
    source = random.Random(f"{seed} {epoch}")
    lengths = [min(len(lesson.tokens), _LONGEST) for lesson in lessons]
    order = sorted(range(len(lessons)), key=lambda i: lengths[i] + source.random() * _SPREAD)
    batches: list[list[int]] = [[]]
    for place in order:
        longest = max([lengths[place], *(lengths[other] for other in batches[-1])])
        if batches[-1] and (len(batches[-1]) + 1) * longest > _BATCH:
            batches.append([])
        batches[-1].append(place)
    source.shuffle(batches)
    return batches
