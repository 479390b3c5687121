"""Training examples side by side, as tensors."""

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
_LONGEST = 512  # tokens of an example that are learned at once
_SPREAD = 64  # tokens by which examples of a batch may differ in length


@dataclass(frozen=True, slots=True)
class Batch:
    """B examples, padded to T positions. At a position stands a token and what follows it.

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


def collate(examples: Sequence[TrainingExample]) -> Batch:
    """A batch of examples, each from its beginning."""
    length = min(max(len(example.tokens) for example in examples), _LONGEST) - 1

    def stack(column: Callable[[TrainingExample], NDArray[Any]], kind: torch.dtype) -> Tensor:
        rows = [
            torch.from_numpy(np.array(column(example)[:length])).to(kind) for example in examples
        ]
        padded: Tensor = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return padded

    return Batch(
        torch.tensor([int(example.tokens[0]) for example in examples]),
        stack(lambda example: example.tokens[1:], torch.int64),
        stack(lambda example: example.features[:-1], torch.float32),
        stack(lambda example: example.likeliest[1:], torch.int64),
        stack(lambda example: example.chances[1:], torch.float32),
        stack(lambda example: example.taught[1:], torch.bool),
    )


def plan_batches(examples: Sequence[TrainingExample], seed: int, epoch: int) -> list[list[int]]:
    """Numbers of examples of about the same length together, in random order."""
    source = random.Random(f"{seed} {epoch}")
    lengths = [min(len(example.tokens), _LONGEST) for example in examples]
    order = sorted(range(len(examples)), key=lambda i: lengths[i] + source.random() * _SPREAD)
    batches: list[list[int]] = [[]]
    for index in order:
        longest = max([lengths[index], *(lengths[other] for other in batches[-1])])
        if batches[-1] and (len(batches[-1]) + 1) * longest > _BATCH:
            batches.append([])
        batches[-1].append(index)
    source.shuffle(batches)
    return batches
