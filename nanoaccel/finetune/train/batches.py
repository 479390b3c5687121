"""Which examples are computed together, and the tensors of a pass over them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from nanoaccel.finetune.data.encode import Example

_SPREAD = 0.2  # share of its length by which an example may leave its bucket
Pass: TypeAlias = "list[int]"
Step: TypeAlias = "list[Pass]"


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts of one pass: one behind the other in a row, or padded in a row each.

    Args:
        ids: i64[B, T].
        positions: i64[B, T], place of each token in its own text.
        rows: i64[R], places in the flattened batch whose next token is learned.
        targets: i64[R], these next tokens.
        lengths: Tokens of each text where they are packed into one row; empty where padded.
    """

    ids: Tensor
    positions: Tensor
    rows: Tensor
    targets: Tensor
    lengths: tuple[int, ...]


def plan_epoch(
    lengths: Sequence[int],
    *,
    pass_tokens: int,
    batch_tokens: int,
    seed: int,
    epoch: int,
    packed: bool,
) -> list[Step]:
    """Steps in random order, each with passes, each with numbers of examples.

    Args:
        lengths: Tokens of each example.
        pass_tokens: Tokens of a pass at most, padding included; a longer example is alone.
        batch_tokens: Tokens of a step at least; the last has what is left.
        seed: Seed of the order.
        epoch: Number of the epoch; each has an order of its own.
        packed: Whether texts are packed; else texts of about one length are padded together.
    """
    source = random.Random(f"{seed} {epoch}")
    if packed:
        order = list(range(len(lengths)))
        source.shuffle(order)
        steps = _filled([[index] for index in order], lengths, batch_tokens)
        chosen = [[index for one in step for index in one] for step in steps]
        return [pack(step, lengths, pass_tokens) for step in chosen]
    passes = _buckets(lengths, pass_tokens, source)
    source.shuffle(passes)
    return _filled(passes, lengths, batch_tokens)


def pack(examples: Sequence[int], lengths: Sequence[int], room: int) -> list[Pass]:
    """Fill passes of so many tokens, the longest examples first, each where it fits first."""
    passes: list[Pass] = []
    free: list[int] = []
    for index in sorted(examples, key=lambda one: -lengths[one]):
        place = next((i for i, left in enumerate(free) if left >= lengths[index]), None)
        if place is None:
            passes.append([])
            free.append(room)
            place = len(passes) - 1
        passes[place].append(index)
        free[place] -= lengths[index]
    return passes


def _buckets(lengths: Sequence[int], room: int, source: random.Random) -> list[Pass]:
    """Passes of examples of about one length."""
    order = sorted(
        range(len(lengths)), key=lambda one: lengths[one] * (1 + _SPREAD * source.random())
    )
    passes: list[Pass] = []
    longest = 0
    for index in order:
        longest = max(longest, lengths[index])
        if not passes or (len(passes[-1]) + 1) * longest > room:
            passes.append([])
            longest = lengths[index]
        passes[-1].append(index)
    return passes


def _filled(passes: Sequence[Pass], lengths: Sequence[int], least: int) -> list[Step]:
    """Passes together until they have so many tokens."""
    steps: list[Step] = []
    tokens = least
    for one in passes:
        if tokens >= least:
            steps.append([])
            tokens = 0
        steps[-1].append(one)
        tokens += sum(lengths[index] for index in one)
    return steps


def collate(examples: Sequence[Example], *, packed: bool) -> Batch:
    """The tensors of a pass; what is learned never crosses from one text into the next."""
    lengths = [len(example) for example in examples]
    width = sum(lengths) if packed else max(lengths)
    shape = (1, width) if packed else (len(examples), width)
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    rows, targets = [], []
    begin = 0
    for number, example in enumerate(examples):
        line, place = (0, begin) if packed else (number, 0)
        ids[line, place : place + len(example)] = example.ids
        positions[line, place : place + len(example)] = np.arange(len(example))
        learned = np.flatnonzero(example.taught[1:])
        rows.append(line * width + place + learned)
        targets.append(example.ids[1:][learned])
        begin += len(example)
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(positions),
        torch.from_numpy(np.concatenate(rows)),
        torch.from_numpy(np.concatenate(targets).astype(np.int64)),
        tuple(lengths) if packed else (),
    )
