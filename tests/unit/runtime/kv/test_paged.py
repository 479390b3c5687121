from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nanoaccel.runtime.kv import BlockPool, PagedCache


def test_block_pool_gives_none_when_short_and_keeps_its_blocks() -> None:
    pool = BlockPool(3)
    assert pool.take(4) is None
    assert pool.num_free == 3


def test_block_pool_reuses_the_last_returned_block_first() -> None:
    pool = BlockPool(4)
    first, second = pool.take(2) or []
    pool.give_back([first, second])
    assert pool.take(2) == [first, second]


def test_block_pool_integrity_notices_a_lost_block() -> None:
    pool = BlockPool(2)
    pool.take(1)
    with pytest.raises(AssertionError, match="lost"):
        pool.check_integrity([])


def test_paged_cache_grows_a_sequence_block_by_block() -> None:
    cache = PagedCache(num_blocks=4, block_size=4)
    assert cache.allocate(7, 4)
    assert len(cache.block_ids(7, 4)) == 1
    assert cache.allocate(7, 5)
    assert len(cache.block_ids(7, 5)) == 2
    assert cache.capacity == 16


def test_paged_cache_refusal_changes_nothing() -> None:
    cache = PagedCache(num_blocks=2, block_size=4)
    assert cache.allocate(1, 4)
    assert not cache.allocate(1, 13)
    assert cache.num_free == 1
    assert cache.allocate(2, 4)


class CacheMachine(RuleBasedStateMachine):
    """Sequences come, grow and go; no block is shared and none is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = PagedCache(num_blocks=12, block_size=3)
        self.lengths: dict[int, int] = {}

    @rule(sequence=st.integers(0, 4), length=st.integers(1, 20))
    def allocate(self, sequence: int, length: int) -> None:
        if self.cache.allocate(sequence, length):
            self.lengths[sequence] = max(length, self.lengths.get(sequence, 0))

    @rule(sequence=st.integers(0, 4))
    def free(self, sequence: int) -> None:
        self.cache.free(sequence)
        self.lengths.pop(sequence, None)

    @invariant()
    def every_block_has_one_owner(self) -> None:
        self.cache.check_integrity()
        owned = [b for s, n in self.lengths.items() for b in self.cache.block_ids(s, n).tolist()]
        assert len(owned) == len(set(owned))
        assert self.cache.num_free == 12 - len(owned)


CacheMachine.TestCase.settings = settings(max_examples=50, deadline=None)
TestCache = CacheMachine.TestCase
