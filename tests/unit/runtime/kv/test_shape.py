from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.kv import PagedCache
from nanoaccel.runtime.kv.block_pool import BlockId
from nanoaccel.runtime.kv.eviction import LeastFrequentlyUsed
from nanoaccel.runtime.kv.recurrent.memory import StateMemory
from nanoaccel.runtime.kv.shape import CacheShape
from nanoaccel.testing.checked_cache import MemoryTier


class States:
    """Two states of four bytes."""

    state_bytes = 4

    def __init__(self) -> None:
        self.data = np.zeros((2, 4), np.uint8)

    def read_state(self, slot: int, out: NDArray[np.uint8]) -> None:
        out[:] = self.data[slot]

    def write_state(self, slot: int, data: NDArray[np.uint8]) -> None:
        self.data[slot] = data


class Asked(LeastFrequentlyUsed):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def priority(self, uses: int, depth: int) -> float:
        self.calls += 1
        return super().priority(uses, depth)


def test_state_memory_copies_one_state_and_no_other() -> None:
    states = States()
    memory = StateMemory(states)
    assert memory.block_bytes == 4
    memory.write_block(BlockId(1), np.array([1, 2, 3, 4], np.uint8))
    assert states.data.tolist() == [[0, 0, 0, 0], [1, 2, 3, 4]]
    out = np.empty(4, np.uint8)
    memory.read_block(BlockId(1), out)
    assert out.tolist() == [1, 2, 3, 4]


def test_shape_tells_the_tokens_that_one_sequence_has_blocks_for() -> None:
    assert CacheShape(num_blocks=3, block_size=4, length=9).first_tokens == 9
    assert CacheShape(num_blocks=2, block_size=4, length=9).first_tokens == 8


def found_again(cache: PagedCache) -> int | None:
    """The tokens that a second sequence need not compute of what a first one did."""
    tokens = np.array([1, 2, 3, 4, 5])
    assert cache.admit(0, tokens, 0) == 0
    assert cache.allocate(0, 5)
    cache.commit(0, tokens)
    cache.free(0)
    return cache.admit(1, tokens, 0)


def test_shape_makes_a_cache_of_its_size_that_shares_and_asks_its_policy() -> None:
    policy = Asked()
    cache = CacheShape(num_blocks=5, block_size=2, length=9).new_cache(policy=policy)
    assert (cache.num_blocks, cache.block_size, cache.num_states) == (5, 2, 0)
    assert found_again(cache) == 4
    assert policy.calls == 2


def test_shape_makes_a_cache_that_does_not_share() -> None:
    shape = CacheShape(num_blocks=5, block_size=2, length=9)
    cache = shape.new_cache(sharing=False, copy=lambda *_: None)
    assert found_again(cache) == 0
    assert cache.granularity == 2


def test_shape_makes_a_cache_that_saves_and_copies_its_blocks() -> None:
    shape, copied = CacheShape(num_blocks=5, block_size=2, length=9), []
    tier = MemoryTier(defaultdict(bytes))
    cache = shape.new_cache(tier=tier, copy=lambda *blocks: copied.append(blocks))
    found_again(cache)
    assert len(tier.saves) == 2
    cache.free(1)
    assert cache.admit(2, np.array([1, 2, 3, 9, 9]), 0) == 3
    assert len(copied) == 1


def test_shape_makes_a_cache_with_states() -> None:
    shape = CacheShape(num_blocks=3, block_size=2, length=9, num_states=5, state_interval=4)
    assert shape.new_cache().num_states == 5
