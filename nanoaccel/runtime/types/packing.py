"""Packs tokens of several sequences into one ragged batch, in arrays that every step reuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nanoaccel.runtime.types.plan import Float32Array, Int32Array, Int64Array, StateTable, StepPlan

_NO_DRAFT: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StateSteps:
    """The recurrent states that a sequence reads and writes in a step; see ``StateTable``.

    Args:
        slots: What is read, then what is written.
        interval: Tokens from one state that is written to the next.
        offset: Tokens that the first is nearer than that.
    """

    slots: Sequence[int]
    interval: int
    offset: int = 0


@dataclass(slots=True)
class SequenceTokens:
    """Tokens of one sequence that a step computes.

    Args:
        sequence: Its number in the block tables.
        tokens: i64[n], those that are known.
        position: Position of the first one, as in a plan.
        past: Tokens of the sequence that are cached before them.
        num_rows: Tokens whose logits are wanted.
        first_row: The first of them, counted from the first token of this step.
        drafts: Draft tokens behind the known ones.
        features: f32[n, F], what a head reads beside each token; None for other graphs.
        adapter: The slot of its adapter; -1 without.
    """

    sequence: int
    tokens: Int64Array
    position: int
    past: int
    num_rows: int
    first_row: int
    drafts: Sequence[int] = _NO_DRAFT
    features: Float32Array | None = None
    adapter: int = -1

    @property
    def count(self) -> int:
        """Tokens to compute."""
        return len(self.tokens) + len(self.drafts)


class BlockTables(Protocol):
    """Knows the cache blocks of each sequence."""

    def blocks_for(self, length: int) -> int:
        """Blocks of a sequence of ``length`` tokens, at most."""
        ...

    def block_ids(self, sequence: int, length: int, out: Int32Array) -> int:
        """Write the blocks of a sequence's first ``length`` tokens to ``out``; gives how many."""
        ...

    def state_steps(self, sequence: int, length: int) -> StateSteps | None:
        """The recurrent states of a pass that ends with so many tokens; None of other models."""
        ...


class BlockLists:
    """Block tables that are given: sequence n has the n-th list, whatever its length.

    Where there are recurrent states, each begins without one and leaves one behind its last token.

    Args:
        lists: The blocks of each sequence.
    """

    def __init__(self, lists: Sequence[Sequence[int]]) -> None:
        self._lists = lists
        self._longest = max(map(len, lists))

    def blocks_for(self, length: int) -> int:  # noqa: ARG002
        """As ``BlockTables``."""
        return self._longest

    def block_ids(self, sequence: int, length: int, out: Int32Array) -> int:  # noqa: ARG002
        """As ``BlockTables``."""
        blocks = self._lists[sequence]
        out[: len(blocks)] = blocks
        return len(blocks)

    def state_steps(self, sequence: int, length: int) -> StateSteps:
        """As ``BlockTables``."""
        return StateSteps((0, sequence + 1), length)


class StepPacker:
    """The arrays behind a ``StepPlan``; they grow when a step needs more, and never shrink."""

    def __init__(self) -> None:
        self._token_ids = np.empty(0, np.int64)
        self._positions = np.empty(0, np.int64)
        self._ramp = np.empty(0, np.int64)
        self._logits_rows = np.empty(0, np.int64)
        self._past_lens = np.empty(0, np.int32)
        self._seq_begins = np.zeros(1, np.int32)
        self._block_begins = np.zeros(1, np.int32)
        self._block_ids = np.empty(0, np.int32)

    def pack(
        self,
        sequences: Sequence[SequenceTokens],
        tables: BlockTables,
        pad_to: int = 0,
        *,
        states: bool = False,
    ) -> StepPlan:
        """Pack sequences, in order.

        The plan is valid until the next call.

        Args:
            sequences: One or more.
            tables: Know their blocks.
            pad_to: As in the plan.
            states: As in the plan.
        """
        self._reserve(sequences, tables)
        token = block = row = 0
        for index, part in enumerate(sequences):
            known = token + len(part.tokens)
            end = known + len(part.drafts)
            self._token_ids[token:known] = part.tokens
            self._token_ids[known:end] = part.drafts
            position, past, rows = part.position, part.past, part.num_rows
            self._positions[token:end] = self._ramp[position : position + end - token]
            self._past_lens[index] = past
            block += tables.block_ids(part.sequence, past + end - token, self._block_ids[block:])
            first = token + part.first_row
            self._logits_rows[row : row + rows] = self._ramp[first : first + rows]
            row += rows
            token = end
            self._seq_begins[index + 1] = token
            self._block_begins[index + 1] = block
        count = len(sequences)
        steps = [tables.state_steps(part.sequence, part.past + part.count) for part in sequences]
        return StepPlan(
            token_ids=self._token_ids[:token],
            positions=self._positions[:token],
            seq_begins=self._seq_begins[: count + 1],
            past_lens=self._past_lens[:count],
            block_ids=self._block_ids[:block],
            block_begins=self._block_begins[: count + 1],
            logits_rows=self._logits_rows[:row],
            features=_joined([p.features for p in sequences if p.features is not None]),
            states=states,
            recurrent=_state_table([step for step in steps if step is not None]),
            adapters=_adapters([part.adapter for part in sequences]),
            pad_to=pad_to,
        )

    def _reserve(self, sequences: Sequence[SequenceTokens], tables: BlockTables) -> None:
        tokens = blocks = longest = 0
        for part in sequences:
            count = part.count
            tokens += count
            blocks += tables.blocks_for(part.past + count)
            longest = max(longest, part.position + count)
        longest = max(tokens, longest)
        if tokens > self._token_ids.size:
            self._token_ids = np.empty(_grown(tokens), np.int64)
            self._positions = np.empty(_grown(tokens), np.int64)
            self._logits_rows = np.empty(_grown(tokens), np.int64)
        if longest > self._ramp.size:
            self._ramp = np.arange(_grown(longest), dtype=np.int64)
        if blocks > self._block_ids.size:
            self._block_ids = np.empty(_grown(blocks), np.int32)
        if len(sequences) > self._past_lens.size:
            size = _grown(len(sequences))
            self._past_lens = np.empty(size, np.int32)
            self._seq_begins = np.zeros(size + 1, np.int32)
            self._block_begins = np.zeros(size + 1, np.int32)


def even_plan(
    blocks: Sequence[Sequence[int]],
    past: int,
    count: int,
    *,
    all_rows: bool = False,
    feature_size: int = 0,
) -> StepPlan:
    """A plan of as many tokens of each sequence, all 0: to measure with, and to warm up.

    Args:
        blocks: The cache blocks of each sequence.
        past: Tokens of each sequence that are cached.
        count: Tokens of each sequence in the pass.
        all_rows: Whether all logits are wanted, not only those behind the last token of each.
        feature_size: F, numbers that a head reads for each token.
    """
    first = 0 if all_rows else count - 1
    features = np.zeros((count, feature_size), np.float32) if feature_size > 0 else None
    tokens = np.zeros(count, np.int64)
    sequences = [
        SequenceTokens(index, tokens, past, past, count - first, first, features=features)
        for index in range(len(blocks))
    ]
    return StepPacker().pack(sequences, BlockLists(blocks))


def _state_table(steps: Sequence[StateSteps]) -> StateTable | None:
    """Those of all sequences; None of none."""
    if not steps:
        return None
    return StateTable(
        slots=np.array([slot for step in steps for slot in step.slots], np.int32),
        begins=np.cumsum([0, *(len(step.slots) for step in steps)], dtype=np.int32),
        intervals=np.array([step.interval for step in steps], np.int32),
        offsets=np.array([step.offset for step in steps], np.int32),
    )


def _adapters(slots: Sequence[int]) -> Int32Array | None:
    """The slots of all sequences; None where none has an adapter."""
    return np.array(slots, np.int32) if max(slots) >= 0 else None


def _joined(parts: Sequence[Float32Array]) -> Float32Array | None:
    """One after the other; the array itself when there is only one."""
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _grown(size: int) -> int:
    """The next power of two."""
    return 1 << (size - 1).bit_length()
