from __future__ import annotations

import numpy as np
import pytest

from nanoaccel.runtime.kv import prefix_cache
from nanoaccel.testing.checked_cache import CheckedCache


def test_sharing_finds_full_blocks_of_a_sequence_that_ended() -> None:
    cache = CheckedCache(8)
    assert cache.run(1, [1, 2, 3, 4, 5]) == 0
    assert cache.cache.num_cached == 2
    assert cache.begin(2, [1, 2, 3, 4, 9, 9]) == 4
    assert cache.cache.num_cached == 0


def test_sharing_finds_blocks_of_a_sequence_that_runs() -> None:
    cache = CheckedCache(8)
    cache.begin(1, [1, 2, 3, 4, 5])
    assert cache.compute(1)
    assert cache.begin(2, [1, 2, 3, 4, 5]) == 4
    assert cache.blocks(2) == cache.blocks(1)[:2]
    cache.end(1)
    assert cache.compute(2)


def test_sharing_leaves_the_last_known_token_to_compute() -> None:
    cache = CheckedCache(8)
    cache.run(1, [1, 2, 3, 4])
    assert cache.run(2, [1, 2, 3, 4]) == 2
    assert cache.run(3, [1, 2, 3, 4, 5]) == 4


def test_sharing_never_finds_a_block_that_is_not_full() -> None:
    cache = CheckedCache(8)
    cache.begin(1, [1, 2, 3, 4, 5, 6])
    assert cache.compute(1, 3)
    assert cache.begin(2, [1, 2, 3, 4, 5, 6]) == 2


def test_sharing_needs_the_same_tokens_from_the_start() -> None:
    cache = CheckedCache(8)
    cache.run(1, [1, 2, 3, 4, 5])
    assert cache.run(2, [0, 2, 3, 4, 5]) == 0
    assert cache.run(3, [3, 4, 5]) == 0


def test_sharing_grows_with_the_sequence() -> None:
    cache = CheckedCache(8)
    cache.begin(1, [1, 2, 3])
    assert cache.compute(1)
    for token in (4, 5, 6):
        cache.extend(1, [token])
        assert cache.compute(1)
    cache.end(1)
    assert cache.run(2, [1, 2, 3, 4, 5, 6, 7]) == 6


def test_sharing_counts_tokens() -> None:
    cache = CheckedCache(8)
    cache.run(1, [1, 2, 3, 4, 5])
    cache.run(2, [1, 2, 3, 4, 5])
    assert (cache.cache.stats.queried_tokens, cache.cache.stats.hit_tokens) == (10, 4)


def test_sharing_keeps_one_copy_of_what_two_sequences_computed_at_once() -> None:
    cache = CheckedCache(8)
    cache.begin(1, [1, 2, 3, 4, 5])
    cache.begin(2, [1, 2, 3, 4, 6])
    assert cache.compute(1)
    assert cache.compute(2)
    assert cache.blocks(2)[:2] == cache.blocks(1)[:2]
    assert cache.cache.num_free == 4
    cache.extend(2, [7, 8])
    assert cache.compute(2)
    cache.end(1)
    cache.end(2)
    assert cache.run(3, [1, 2, 3, 4, 6, 7, 8]) == 6


@pytest.mark.parametrize("tiered", [False, True])
def test_sharing_keeps_requests_with_different_keys_apart(tiered: bool) -> None:
    cache = CheckedCache(12, tiered=tiered)
    tokens = [1, 2, 3, 4, 5]
    assert cache.run(1, tokens) == 0
    assert cache.run(2, tokens, b"adapter") == 0
    assert cache.begin(3, tokens) == cache.begin(4, tokens, key=b"adapter") == 4
    assert cache.begin(5, tokens, key=b"other") == 0
    for sequence in (3, 4, 5):
        assert cache.compute(sequence)
        cache.end(sequence)
    cache.cache.clear()
    assert cache.run(6, tokens, b"adapter") == (4 if tiered else 0)


def test_sharing_does_not_count_the_blocks_it_finds_as_room() -> None:
    cache = CheckedCache(3)
    cache.run(1, [1, 2, 3, 4, 5])
    before = (cache.cache.num_free, cache.cache.num_cached)
    assert cache.begin(2, [1, 2, 3, 4, 5], reserve=1) is None
    assert (cache.cache.num_free, cache.cache.num_cached) == before
    assert cache.begin(2, [1, 2, 3, 4, 5], reserve=0) == 4


def test_sharing_gives_a_bounded_sequence_one_block_less_than_it_may_hold() -> None:
    cache = CheckedCache(8)
    cache.run(1, range(9))
    assert cache.begin(2, range(9), need=3) == 4
    assert cache.begin(3, range(9), need=1) == 0


def test_sharing_begins_a_block_with_a_copy_of_the_closest_one() -> None:
    cache = CheckedCache(12, 4, copies=True)
    cache.run(1, [1, 2, 3, 4, 5, 6, 7, 8, 9])
    cache.run(2, [1, 2, 3, 4, 5, 6, 9, 9, 9])
    cache.run(3, [1, 2, 9, 9, 9])
    assert cache.cache.stats.hit_tokens == 0 + 6 + 2
    assert cache.begin(4, [1, 2, 3, 4, 5, 6, 9, 8, 7]) == 7
    assert cache.begin(5, [1, 2, 3, 4, 5, 6, 7, 8]) == 7
    assert cache.begin(6, [1, 9]) == 1
    assert cache.begin(7, [9, 2, 3, 4]) == 0
    for sequence in (4, 5, 6):
        assert cache.compute(sequence)
    assert cache.blocks(5) == [*cache.blocks(4)[:1], cache.blocks(5)[1]]


def test_sharing_copies_no_more_than_it_may() -> None:
    cache = CheckedCache(12, 4, copies=True)
    tokens = np.arange(12)
    cache.run(1, tokens.tolist())
    for sequence, most in enumerate((0, 3, 4, 6, 99), 2):
        assert cache.cache.admit(sequence, tokens, 0, most=most) == min(most, 11)
        cache.cache.free(sequence)
    cache.cache.clear()
    assert cache.cache.findable(tokens, b"") == 0


def test_sharing_copies_nothing_when_only_the_block_itself_could_make_room() -> None:
    cache = CheckedCache(2, 4, copies=True)
    cache.run(1, [1, 2, 3, 4, 5])
    assert cache.occupy(2, 1)
    assert cache.begin(3, [1, 2, 9]) == 0
    assert cache.compute(3)


def test_sharing_tells_what_a_sequence_would_find() -> None:
    cache = CheckedCache(12, 4, copies=True)
    tokens = np.arange(12)
    assert cache.cache.findable(tokens, b"") == 0
    cache.run(1, tokens.tolist())
    assert cache.cache.findable(tokens, b"") == 12
    assert cache.cache.findable(np.array([*range(9), 99, 99]), b"") == 9
    assert cache.cache.findable(tokens, b"adapter") == 0
    assert CheckedCache(12, 4).cache.granularity == 4


def test_sharing_off_finds_and_caches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_cache, "block_key", lambda *_: pytest.fail("hashed"))
    cache = CheckedCache(8, sharing=False)
    cache.run(1, [1, 2, 3, 4, 5])
    assert cache.cache.num_cached == 0
    assert cache.run(2, [1, 2, 3, 4, 5]) == 0


def test_sharing_is_right_when_all_keys_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_cache, "block_key", lambda *_: b"same")
    random = np.random.default_rng(0)
    cache = CheckedCache(12)
    hits = [cache.run(n, random.integers(0, 2, 9).tolist()) for n in range(200)]
    assert max(hits) == 8
    assert min(hits) < 8


def test_eviction_takes_the_end_of_the_oldest_chain_first() -> None:
    cache = CheckedCache(4)
    cache.run(1, [1, 1, 1, 1, 1])
    cache.run(2, [2, 2, 2, 2, 2])
    assert cache.cache.stats.evictions == 1
    assert cache.occupy(3, 2)
    assert cache.cache.stats.evictions == 2
    assert cache.begin(4, [1, 1, 1], need=1) == 0
    cache.end(3)
    assert cache.begin(5, [2, 2, 2, 2, 2]) == 4


def test_eviction_spares_a_parent_as_long_as_it_has_a_child() -> None:
    cache = CheckedCache(4)
    cache.run(1, [1, 1, 2, 2, 0])
    cache.run(2, [1, 1, 3, 3, 0])
    assert cache.occupy(3, 3)
    cache.end(3)
    assert cache.run(4, [1, 1, 3, 3, 0]) == 2


def test_eviction_never_takes_a_block_that_somebody_owns() -> None:
    cache = CheckedCache(4)
    cache.begin(1, [1, 1, 1, 1, 1])
    assert cache.compute(1)
    assert not cache.occupy(2, 2)
    assert cache.cache.stats.evictions == 0


def test_clear_forgets_what_nobody_owns() -> None:
    cache = CheckedCache(8)
    cache.run(1, [1, 1, 1, 1, 1])
    cache.begin(2, [1, 1, 2, 2, 2])
    assert cache.compute(2)
    cache.cache.clear()
    cache.check()
    assert cache.cache.num_cached == 0
    assert cache.begin(3, [1, 1, 1, 1, 1]) == 2
    assert cache.begin(4, [1, 1, 2, 2, 2]) == 4


def test_drop_leaves_the_prefix_findable_until_its_blocks_are_needed() -> None:
    cache = CheckedCache(6)
    cache.begin(1, range(9))
    assert cache.compute(1)
    cache.drop(1, [1, 2])
    assert cache.begin(2, range(9), need=5) == 8
    cache.end(2)
    assert cache.occupy(2, 3)
    cache.end(2)
    assert cache.begin(3, range(9), need=4) == 2


def test_drop_in_parts_loses_no_block_between_them() -> None:
    cache = CheckedCache(6)
    cache.begin(1, range(11))
    assert cache.compute(1)
    cache.drop(1, [1])
    cache.drop(1, [2])
    assert cache.occupy(2, 2)
    assert cache.cache.stats.evictions == 2
    cache.end(1)
    cache.end(2)
    assert cache.begin(3, range(11)) == 2


def test_drop_of_nothing_changes_nothing() -> None:
    cache = CheckedCache(8)
    cache.begin(1, range(4))
    cache.drop(1, [])
    assert cache.compute(1)
    assert cache.begin(2, range(5)) == 4


def test_drop_stops_a_sequence_from_sharing_more() -> None:
    cache = CheckedCache(8)
    cache.begin(1, range(4))
    assert cache.compute(1)
    cache.drop(1, [0])
    cache.extend(1, range(4, 8))
    assert cache.compute(1)
    cache.end(1)
    assert cache.run(2, range(8)) == 4


def test_drop_by_two_owners_frees_a_block_once() -> None:
    cache = CheckedCache(4)
    cache.begin(1, range(6))
    assert cache.compute(1)
    assert cache.begin(2, range(5)) == 4
    cache.drop(1, [0])
    assert cache.cache.num_free == 1
    cache.drop(2, [0])
    assert cache.cache.num_free == 2
    assert cache.occupy(3, 2)
    cache.end(1)
    assert cache.cache.num_free == 1
    cache.end(2)
    assert cache.cache.num_free == 2
    assert cache.cache.num_cached == 0
