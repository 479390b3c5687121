from __future__ import annotations

from random import Random

import numpy as np

from nanoaccel.runtime.engine.batch_builder import BatchBuilder
from nanoaccel.runtime.kv import CacheEviction, PagedCache
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.scheduling.scheduled_tokens import ScheduledTokens
from nanoaccel.runtime.types.plan import StepPlan
from nanoaccel.testing.engines import VOCAB_SIZE
from nanoaccel.text import Tokenizer

ARRAYS = (
    "token_ids",
    "positions",
    "seq_begins",
    "past_lens",
    "block_ids",
    "block_begins",
    "logits_rows",
)


def chunk_of(
    cache: PagedCache,
    tokenizer: Tokenizer,
    number: int,
    length: int,
    *,
    start: int = 0,
    end: int,
    evicted: int = 0,
) -> ScheduledTokens:
    request = Request(
        number,
        [(number + place) % VOCAB_SIZE for place in range(length)],
        SamplingParams(),
        max_tokens=5,
        tokenizer=tokenizer,
        vocab_size=VOCAB_SIZE,
        seed=0,
        index=0,
        eviction=None if evicted == 0 else CacheEviction(1000),
    )
    request.num_computed, request.num_evicted = start, evicted
    assert cache.allocate(number, end - evicted)
    return ScheduledTokens(request, start, end)


def lists(plan: StepPlan) -> dict[str, list[int]]:
    return {name: getattr(plan, name).tolist() for name in ARRAYS}


def test_batch_builder_pack_chunks_without_padding(tokenizer: Tokenizer) -> None:
    cache = PagedCache(10, 4)
    chunks = [
        chunk_of(cache, tokenizer, 1, 9, start=8, end=9),
        chunk_of(cache, tokenizer, 5, 8, start=2, end=5),
        chunk_of(cache, tokenizer, 9, 2, end=2),
    ]
    plan = BatchBuilder().assemble(chunks, cache)
    assert lists(plan) == {
        "token_ids": [9, 7, 8, 9, 9, 10],
        "positions": [8, 2, 3, 4, 0, 1],
        "seq_begins": [0, 1, 4, 6],
        "past_lens": [8, 2, 0],
        "block_ids": [0, 1, 2, 3, 4, 5],
        "block_begins": [0, 3, 5, 6],
        "logits_rows": [0, 5],
    }
    dtypes = {name: getattr(plan, name).dtype for name in ARRAYS}
    narrow = {"seq_begins", "past_lens", "block_ids", "block_begins"}
    assert dtypes == {name: np.int32 if name in narrow else np.int64 for name in ARRAYS}


def test_batch_builder_count_dropped_tokens_in_positions_only(tokenizer: Tokenizer) -> None:
    cache = PagedCache(10, 4)
    chunk = chunk_of(cache, tokenizer, 0, 30, start=20, end=22, evicted=8)
    plan = lists(BatchBuilder().assemble([chunk], cache))
    assert plan["positions"] == [20, 21]
    assert plan["past_lens"] == [12]
    assert len(plan["block_ids"]) == 4
    assert plan["logits_rows"] == []


def test_batch_builder_reuse_their_memory(tokenizer: Tokenizer) -> None:
    cache = PagedCache(100, 4)
    buffers = BatchBuilder()
    large = [chunk_of(cache, tokenizer, number, 40, end=40) for number in range(9)]
    small = [chunk_of(cache, tokenizer, number, 7, start=3, end=7) for number in (20, 30)]
    first = buffers.assemble(large, cache)
    second = buffers.assemble(small, cache)
    for name in ARRAYS:
        assert np.shares_memory(getattr(first, name), getattr(second, name)), name


def test_batch_builder_grow_to_what_is_needed_and_forget_former_steps(
    tokenizer: Tokenizer,
) -> None:
    random = Random(1)
    cache = PagedCache(2000, 4)
    buffers = BatchBuilder()
    for step in range(60):
        chunks = []
        for number in range(random.choice((1, 2, 7, 40))):
            length = random.choice((1, 5, 90))
            start = random.randrange(length)
            end = random.randint(start + 1, length)
            name = 100 * step + number
            chunks.append(chunk_of(cache, tokenizer, name, length, start=start, end=end))
        used = buffers.assemble(chunks, cache)
        assert lists(used) == lists(BatchBuilder().assemble(chunks, cache))
        assert int(used.seq_begins[-1]) == len(used.token_ids) == len(used.positions)
        assert int(used.block_begins[-1]) == len(used.block_ids)
        for chunk in chunks:
            cache.free(chunk.request.id)
