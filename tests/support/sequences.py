"""Sequences of tokens in the cache of any backend, run in pieces."""

from __future__ import annotations

from typing import cast

import numpy as np
from support import tiny_models

from nanoaccel.runtime.backends import Backend
from nanoaccel.runtime.kv import SlotMemory
from nanoaccel.runtime.types.plan import StepPlan, StepResult

# What the cache of the backend holds: so many blocks, or slots of so many tokens.
BLOCKS = 40
SLOTS, SLOT_TOKENS = 8, 160


class Sequences:
    """Token sequences with scattered blocks, run in pieces."""

    def __init__(self, backend: Backend, lengths: list[int]) -> None:
        random = np.random.default_rng(sum(lengths))
        self.backend = backend
        self.tokens = [random.integers(3, tiny_models.VOCAB_SIZE, n) for n in lengths]
        self.dropped = [0] * len(lengths)
        self.pad_to = 0
        self.free = self.numbers(random)
        self.blocks = [self.take(-(-length // backend.info.block_size)) for length in lengths]

    def numbers(self, random: np.random.Generator) -> np.ndarray:
        """All blocks in any order, or all slots with theirs: [slots, blocks]."""
        if not self.backend.info.slots:
            return random.permutation(BLOCKS)
        blocks = SLOT_TOKENS // self.backend.info.block_size
        return random.permutation(np.arange(SLOTS * blocks).reshape(SLOTS, blocks))

    def take(self, count: int) -> np.ndarray:
        """Blocks that nobody has."""
        if self.backend.info.slots:
            slot, self.free = self.free[0], self.free[1:]
            return slot[:count]
        taken, self.free = np.split(self.free, [count])
        return taken

    def drop(self, sequence: int, places: list[int]) -> None:
        """Forget blocks of a sequence."""
        held = self.blocks[sequence]
        kept = np.delete(held, places)
        if self.backend.info.slots:  # they close up
            for target, source in zip(held, kept, strict=False):
                cast(SlotMemory, self.backend).copy_blocks(int(source), int(target), 1)
            kept = held[: len(kept)]
        self.blocks[sequence] = kept
        self.dropped[sequence] += len(places) * self.backend.info.block_size

    def step(
        self,
        pieces: list[tuple[int, int, int]],
        rows: list[int] | None = None,
        *,
        states: bool = False,
    ) -> StepResult:
        """Compute ``(sequence, start, end)`` pieces in one step; a row for each last token."""
        size = self.backend.info.block_size
        ends = np.cumsum([end - start for _, start, end in pieces])
        blocks = [self.blocks[s][: -(-(end - self.dropped[s]) // size)] for s, _, end in pieces]
        plan = StepPlan(
            token_ids=np.concatenate([self.tokens[s][a:b] for s, a, b in pieces]).astype(np.int64),
            positions=np.concatenate([np.arange(a, b) for _, a, b in pieces]).astype(np.int64),
            seq_begins=np.array([0, *ends], np.int32),
            past_lens=np.array([start - self.dropped[s] for s, start, _ in pieces], np.int32),
            block_ids=np.concatenate(blocks).astype(np.int32),
            block_begins=np.cumsum([0, *map(len, blocks)]).astype(np.int32),
            logits_rows=np.array(ends - 1 if rows is None else rows, np.int64),
            states=states,
            pad_to=self.pad_to,
        )
        return self.backend.forward(plan)

    def run(self, pieces: list[tuple[int, int, int]], rows: list[int] | None = None) -> np.ndarray:
        """The logits of ``step``."""
        return self.step(pieces, rows).logits.copy()

    def scores(self, pieces: list[tuple[int, int, int]]) -> np.ndarray:
        """The scores of ``step``."""
        scores = self.step(pieces).scores
        assert scores is not None
        return scores.copy()


def same(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether logits are equal but for rounding."""
    return bool(np.abs(left - right).max() < 1e-4 * max(1.0, float(np.abs(right).max())))
