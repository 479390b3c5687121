"""Which examples are computed together, and the tensors of a pass over them."""

from __future__ import annotations

import math
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
        batch_tokens: Tokens of a step at most, unless one pass has more.
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
    """Spread examples over as few passes of about one size as hold them.

    Args:
        examples: Numbers of examples.
        lengths: Tokens of each example.
        room: Tokens of a pass at most; a longer example is alone.
    """
    order = sorted(examples, key=lambda one: -lengths[one])
    count = max(1, math.ceil(sum(lengths[one] for one in order) / room))
    while True:
        passes: list[Pass] = [[] for _ in range(count)]
        tokens = [0] * count
        for index in order:
            place = tokens.index(min(tokens))
            passes[place].append(index)
            tokens[place] += lengths[index]
        fits = (len(one) == 1 or size <= room for one, size in zip(passes, tokens, strict=True))
        if all(fits):
            return [one for one in passes if one]
        count += 1


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


def _filled(passes: Sequence[Pass], lengths: Sequence[int], most: int) -> list[Step]:
    """Passes together as long as they have no more than so many tokens."""
    steps: list[Step] = []
    tokens = most
    for one in passes:
        size = sum(lengths[index] for index in one)
        if not steps or tokens + size > most:
            steps.append([])
            tokens = 0
        steps[-1].append(one)
        tokens += size
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
