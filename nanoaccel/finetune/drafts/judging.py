"""Measures a draft on held-out text: how often its tokens are the target's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nanoaccel.finetune.drafts.batches import collate
from nanoaccel.finetune.drafts.draft_module import DraftModule
from nanoaccel.finetune.drafts.training_examples import TrainingExample

_HELD_OUT = 20  # one example in so many


def split(
    examples: Sequence[TrainingExample],
) -> tuple[list[TrainingExample], list[TrainingExample]]:
    """Training examples and held-out examples."""
    held = [example for index, example in enumerate(examples) if index % _HELD_OUT == 0]
    return [example for index, example in enumerate(examples) if index % _HELD_OUT != 0], held


def survival(module: DraftModule, examples: Sequence[TrainingExample], depth: int) -> list[float]:
    """Share of positions where the first 1, 2, ... ``depth`` greedy tokens are all the target's.

    Counted are positions behind which the text is what the target finds likeliest.
    """
    module.eval()
    kept, counted = np.zeros(depth), np.zeros(depth)
    for example in examples:
        with torch.no_grad():
            batch = collate([example])
            best, taught = batch.likeliest[0, :, 0], batch.taught[0]
            alive, counts = torch.ones_like(taught), taught
            for d, drafted in enumerate(module.draft_tokens(batch, depth)):
                if d > 0:  # the draft token before it was what the target would write
                    alive, counts = _later(alive), _later(counts)
                    counts = counts & (batch.tokens[0] == _later(best)) & taught
                alive = alive & (drafted[0] == best)
                kept[d] += (alive & counts).sum().item()
                counted[d] += counts.sum().item()
    return [float(value) for value in kept / np.maximum(counted, 1)]


def _later(x: Tensor) -> Tensor:
    """Each position gets what stood before it; the first one gets nothing."""
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])
