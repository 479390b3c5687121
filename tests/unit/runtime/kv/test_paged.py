from __future__ import annotations

import numpy as np
import pytest

from nanoaccel.runtime.kv import PagedCache
from nanoaccel.testing.checked_cache import CheckedCache


def prompt(*tokens: int) -> np.ndarray:
    return np.array(tokens, np.int64)


def test_paged_cache_grows_a_sequence_block_by_block() -> None:
    cache = PagedCache(num_blocks=40, block_size=4)
    out = np.full(40, -1, np.int32)
    seen: list[int] = []
    for length in range(1, 161):
        assert cache.allocate(7, length)
        count = cache.block_ids(7, length, out)
        assert count == cache.blocks_for(length) == -(-length // 4)
        assert out[: len(seen)].tolist() == seen
        assert (out[count:] == -1).all()
        seen = out[:count].tolist()
    assert sorted(seen) == list(range(40))
    assert cache.capacity == 160
    assert cache.num_free == 0


def test_paged_cache_refused_room_changes_nothing() -> None:
    cache = PagedCache(num_blocks=2, block_size=4)
    assert cache.allocate(1, 4)
    assert not cache.allocate(1, 13)
    assert cache.num_free == 1
    assert cache.allocate(2, 4)


def test_paged_cache_frees_what_it_does_not_know() -> None:
    cache = PagedCache(num_blocks=2, block_size=4)
    cache.free(1)
    assert cache.num_free == 2


def test_paged_cache_admits_only_with_room_for_all_tokens_one_more_and_the_reserve() -> None:
    cache = PagedCache(num_blocks=3, block_size=2)
    assert cache.admit(1, prompt(1, 2, 3, 4), 1) is None
    assert cache.stats.queried_tokens == 0
    assert cache.admit(1, prompt(1, 2, 3, 4), 0) == 0
    assert cache.num_free == 3
    assert cache.admit(2, prompt(1, 2, 3), 1) == 0


def test_paged_cache_admits_by_need_when_that_is_less() -> None:
    cache = PagedCache(num_blocks=3, block_size=2)
    assert cache.admit(1, prompt(*range(100)), 0) is None
    assert cache.admit(1, prompt(*range(100)), 1, need=3) is None
    assert cache.admit(1, prompt(*range(100)), 1, need=2) == 0


def test_paged_cache_refuses_to_admit_twice() -> None:
    cache = PagedCache(num_blocks=3, block_size=2)
    assert cache.admit(1, prompt(1), 0) == 0
    with pytest.raises(AssertionError, match="twice"):
        cache.admit(1, prompt(1), 0)


def test_paged_cache_refuses_a_commit_beyond_its_room() -> None:
    cache = PagedCache(num_blocks=3, block_size=2)
    cache.allocate(1, 2)
    with pytest.raises(AssertionError, match="room"):
        cache.commit(1, prompt(1, 2, 3, 4))
    with pytest.raises(AssertionError, match="room"):
        cache.block_ids(1, 3, np.empty(4, np.int32))


def test_paged_cache_drop_closes_up_and_makes_room() -> None:
    cache = CheckedCache(5)
    cache.begin(1, range(9))
    assert cache.compute(1)
    before = cache.blocks(1)
    cache.drop(1, [2, 1])
    assert cache.blocks(1) == [before[0], before[3], before[4]]
    assert cache.cache.num_free == 2
    cache.extend(1, range(9, 14))
    assert cache.compute(1)
    assert len(cache.blocks(1)) == 5


def test_paged_cache_drop_takes_private_blocks_too() -> None:
    cache = CheckedCache(4, sharing=False)
    cache.begin(1, range(6))
    assert cache.compute(1)
    cache.drop(1, [0])
    assert cache.cache.num_cached == 0
    assert cache.cache.num_free == 2
