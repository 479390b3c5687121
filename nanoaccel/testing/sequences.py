"""Sequences of tokens in the cache of any backend, run in pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.backends import Backend
from nanoaccel.runtime.types.plan import Float32Array, StateTable, StepPlan, StepResult

BLOCKS = 40  # of the cache


class Sequences:
    """Token sequences with scattered blocks, run in pieces."""

    def __init__(self, backend: Backend, lengths: list[int]) -> None:
        random = np.random.default_rng(sum(lengths))
        self.backend = backend
        self.tokens = [random.integers(3, backend.info.vocab_size, n) for n in lengths]
        self.dropped = [0] * len(lengths)
        self.pad_to = 0
        # Slots of recurrent states by length: two of each sequence, one to read and one to write.
        self.states: list[dict[int, int]] = [{0: 0} for _ in lengths]
        self.free = random.permutation(BLOCKS)
        self.blocks = [self.take(-(-length // backend.info.block_size)) for length in lengths]

    def take(self, count: int) -> NDArray[np.int64]:
        """Blocks that nobody has."""
        taken, self.free = np.split(self.free, [count])
        return taken

    def drop(self, sequence: int, places: list[int]) -> None:
        """Forget blocks of a sequence."""
        self.blocks[sequence] = np.delete(self.blocks[sequence], places)
        self.dropped[sequence] += len(places) * self.backend.info.block_size

    def step(
        self,
        pieces: list[tuple[int, int, int]],
        rows: list[int] | None = None,
        *,
        states: bool = False,
        adapters: list[int] | None = None,
    ) -> StepResult:
        """Compute ``(sequence, start, end)`` pieces in one step; a row for each last token.

        ``adapters`` has the slot of each piece.
        """
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
            recurrent=self._recurrent(pieces) if self.backend.info.bytes_per_state else None,
            adapters=None if adapters is None else np.array(adapters, np.int32),
            pad_to=self.pad_to,
        )
        return self.backend.forward(plan)

    def _recurrent(self, pieces: list[tuple[int, int, int]]) -> StateTable:
        """Each goes on from the state behind its start, and leaves one at its end."""
        slots = []
        for s, start, end in pieces:
            read = self.states[s][start]
            written = 2 * s + 1 + (read == 2 * s + 1)
            slots += [read, written]
            self.states[s] = {0: 0, start: read, end: written}
        return StateTable(
            slots=np.array(slots, np.int32),
            begins=np.arange(0, len(slots) + 1, 2, dtype=np.int32),
            intervals=np.array([end - start for _, start, end in pieces], np.int32),
            offsets=np.zeros(len(pieces), np.int32),
        )

    def run(
        self, pieces: list[tuple[int, int, int]], rows: list[int] | None = None
    ) -> Float32Array:
        """The logits of ``step``."""
        logits: Float32Array = self.step(pieces, rows).logits.copy()
        return logits

    def scores(self, pieces: list[tuple[int, int, int]]) -> Float32Array:
        """The scores of ``step``."""
        scores = self.step(pieces).scores
        assert scores is not None
        return np.array(scores)


def same(left: Float32Array, right: Float32Array) -> bool:
    """Whether logits are equal but for rounding."""
    return bool(np.abs(left - right).max() < 1e-4 * max(1.0, float(np.abs(right).max())))
