"""Sequences that are copied out of their blocks into slots, and what is new back again."""

from __future__ import annotations

from random import Random
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends.slots import CacheTensor, SlotMemory, Slotted, table
from nanoaccel.runtime.types.packing import even_plan
from nanoaccel.runtime.types.plan import StepPlan, StepResult

BLOCK_SIZE, NUM_BLOCKS = 4, 24
TENSORS = [
    CacheTensor(2, 8, np.dtype(np.float32)),
    CacheTensor(3, 4, np.dtype(np.float32)),
    CacheTensor(2, 8, np.dtype(np.float32)),
]


class Reader(Slotted):
    """Caches token ids, and notes what it finds before those of a pass."""

    def __init__(self) -> None:
        super().__init__(TENSORS, BLOCK_SIZE)
        self.memories: list[SlotMemory] = []
        self.found: list[list[int]] = []
        self.slots: list[int] = []
        self.fails = False

    def _bind(self, memory: SlotMemory) -> None:
        self.memories.append(memory)

    def _run(self, plan: StepPlan, slots: list[int]) -> StepResult:  # type: ignore[override]
        self.slots = list(slots)
        self.found = []
        for sequence, (slot, past) in enumerate(zip(slots, plan.past_lens.tolist(), strict=True)):
            begin, end = plan.seq_begins[sequence : sequence + 2].tolist()
            rows = [tensor[slot] for tensor in self.memories[-1].tensors]
            values = {tuple(row[0, :past, 0]) for row in rows}
            assert len(values) == 1, "tensors differ"
            assert all((row[:, :past] == row[:1, :past, :1]).all() for row in rows)
            self.found.append([int(value) for value in values.pop()])
            for row in rows:
                row[:, past : past + end - begin] = plan.token_ids[begin:end, None]
        if self.fails:
            raise RuntimeError("no pass")
        return StepResult(np.zeros((len(plan.logits_rows), 1), np.float32))


@pytest.fixture
def reader() -> Reader:
    made = Reader()
    made.allocate_cache(NUM_BLOCKS)
    return made


def step(reader: Reader, sequences: list[tuple[list[int], list[int], int]]) -> None:
    """Run sequences, each with its blocks, its tokens, and how many of these are cached."""
    counts = [len(tokens) - past for _, tokens, past in sequences]
    plans = [
        even_plan([blocks], past, n) for (blocks, _, past), n in zip(sequences, counts, strict=True)
    ]
    begins = np.cumsum([0, *(len(plan.block_ids) for plan in plans)]).astype(np.int32)
    new = [token for _, tokens, past in sequences for token in tokens[past:]]
    reader.forward(
        StepPlan(
            token_ids=np.array(new),
            positions=np.concatenate([plan.positions for plan in plans]),
            seq_begins=np.cumsum([0, *counts]).astype(np.int32),
            past_lens=np.array([past for _, _, past in sequences], np.int32),
            block_ids=np.concatenate([plan.block_ids for plan in plans]),
            block_begins=begins,
            logits_rows=np.cumsum(counts) - 1,
        )
    )
    assert reader.found == [tokens[:past] for _, tokens, past in sequences]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_slots_hold_what_the_blocks_hold_whatever_happens(seed: int) -> None:
    random, reader = Random(seed), Reader()
    reader.allocate_cache(NUM_BLOCKS)
    free = list(range(NUM_BLOCKS))
    live: list[tuple[list[int], list[int]]] = []  # blocks, and tokens that are cached
    for _ in range(30):
        if live and random.random() < 0.2:
            blocks, _ = live.pop(random.randrange(len(live)))
            free += [
                b for b in blocks if not any(b in others for others, _ in live) and b not in free
            ]
        if random.random() < 0.4:
            blocks, tokens = random.choice(live) if live and random.random() < 0.6 else ([], [])
            full = random.randint(0, len(tokens) // BLOCK_SIZE)
            live.append((blocks[:full], tokens[: full * BLOCK_SIZE]))
        if free and live and random.random() < 0.2:  # a block of another text comes from disk
            data = np.empty(reader.block_bytes, np.uint8)
            reader.read_block(live[0][0][0] if live[0][0] else free[0], data)
            reader.write_block(random.choice(free), data)
        chosen = []
        for index in random.sample(range(len(live)), random.randint(0, min(4, len(live)))):
            blocks, tokens = live[index]
            shared = sum(
                blocks[: i + 1] in [o[: i + 1] for o, _ in live[:index] + live[index + 1 :]]
                for i in range(len(blocks))
            )
            past = random.randint(min(shared * BLOCK_SIZE, len(tokens)), len(tokens))
            known = tokens[:past] + [random.randrange(1000) for _ in range(random.randint(1, 9))]
            needed = -(-len(known) // BLOCK_SIZE) - len(blocks)
            if needed > len(free):
                continue
            blocks = blocks + [free.pop(random.randrange(len(free))) for _ in range(needed)]
            live[index] = (blocks, known)
            chosen.append((blocks, known, past))
        if chosen:
            step(reader, chosen)


def test_slots_are_gone_on_with_where_they_are(reader: Reader) -> None:
    first, second = list(range(8)), list(range(100, 106))
    step(reader, [([0, 1], first, 0), ([2, 3], second, 0)])
    places = reader.slots
    step(reader, [([2, 3], [*second, 7], 6), ([0, 1, 4], [*first, 9], 8)])
    assert reader.slots == places[::-1]


def test_slots_that_fail_have_changed_nothing(reader: Reader) -> None:
    step(reader, [([0, 1], [1, 2, 3, 4, 5], 0)])
    reader.fails = True
    with pytest.raises(RuntimeError, match="no pass"):
        step(reader, [([0, 1], [1, 2, 3, 4, 5, 6], 5)])
    reader.fails = False
    step(reader, [([0, 1], [1, 2, 3, 4, 5, 7], 5)])
    step(reader, [([0, 1], [1, 2, 3, 4, 5, 7, 8], 6)])


def test_slots_take_no_more_memory_than_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    reader.allocate_cache(8)
    for number in range(6):
        step(reader, [([0, 1, 2, 3], [number] * 16, 0)])
        step(reader, [([4], [number], 0), ([5], [number], 0)])
        slots = cast(table.SlotTable, reader._table)._slots
        assert sum(slot.written for slot in slots) <= 8
    monkeypatch.setattr(table, "CacheBlocks", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(ConfigError, match="do not fit in memory"):
        Reader().allocate_cache(1 << 40)
