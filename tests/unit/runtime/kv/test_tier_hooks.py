from __future__ import annotations

import hashlib

from nanoaccel.runtime.kv.prefix_cache import block_key
from nanoaccel.testing.checked_cache import CheckedCache


def words(*tokens: int) -> bytes:
    return b"".join(token.to_bytes(4, "little", signed=True) for token in tokens)


def test_block_key_chains_the_whole_prefix() -> None:
    first = block_key(b"model", words(1, 2))
    expected = b"model" + bytes([1, 0, 0, 0, 2, 0, 0, 0])
    assert first == hashlib.blake2b(expected, digest_size=16).digest()
    other = block_key(b"", words(1, 2))
    assert block_key(first, words(3, 4)) != block_key(other, words(3, 4))


def test_tier_is_offered_blocks_when_their_last_owner_leaves_parents_first() -> None:
    cache = CheckedCache(8, tiered=True)
    cache.begin(1, [1, 2, 3, 4, 5])
    assert cache.compute(1)
    assert cache.tier.saves == []
    cache.end(1)
    first = block_key(b"", words(1, 2))
    assert cache.tier.saves == [first, block_key(first, words(3, 4))]
    cache.run(2, [1, 2, 3, 4, 5])
    assert len(cache.tier.saves) == 2
    assert cache.cache.stats.saved_blocks == 2


def test_tier_is_offered_a_block_again_when_it_is_evicted() -> None:
    cache = CheckedCache(3, tiered=True)
    cache.tier.refuses = True
    cache.run(1, [1, 2, 3, 4, 5])
    cache.tier.refuses = False
    assert cache.run(2, [6, 6, 6, 6]) == 0
    assert len(cache.tier.saves) >= 2
    assert cache.run(1, [1, 2, 3, 4, 5]) == 4


def test_tier_is_offered_what_nobody_owns_when_all_is_saved() -> None:
    cache = CheckedCache(9, tiered=True)
    cache.tier.refuses = True
    cache.run(1, [1, 2, 3, 4, 5])
    cache.begin(2, [6, 6, 6])
    assert cache.compute(2)
    cache.tier.refuses = False
    cache.cache.save_all()
    first = block_key(b"", words(1, 2))
    assert sorted(cache.tier.saves) == sorted([first, block_key(first, words(3, 4))])


def test_tier_gives_back_what_memory_lost() -> None:
    cache = CheckedCache(3, tiered=True)
    cache.run(1, [1, 2, 3, 4, 5])
    cache.run(2, [6, 6, 6, 6, 6])
    assert cache.begin(3, [1, 2, 3, 4, 5]) == 4
    assert cache.cache.stats.restored_tokens == 4
    assert cache.cache.stats.hit_tokens == 0


def test_tier_continues_a_chain_without_evicting_it() -> None:
    cache = CheckedCache(4, tiered=True)
    cache.run(1, [1, 2, 3, 4, 5, 6, 7])
    assert cache.occupy(2, 2)
    cache.end(2)
    assert cache.cache.num_cached == 2
    assert cache.begin(3, [1, 2, 3, 4, 5, 6, 7]) == 6
    assert cache.cache.stats.hit_tokens == 4
    assert cache.cache.stats.restored_tokens == 2


def test_tier_block_is_shared_once_it_is_restored() -> None:
    cache = CheckedCache(6, tiered=True)
    cache.run(1, [1, 2, 3, 4, 5])
    cache.cache.clear()
    assert cache.begin(2, [1, 2, 3, 4, 5]) == 4
    assert cache.begin(3, [1, 2, 3, 4, 6]) == 4
    assert cache.cache.stats.restored_tokens == 4
    assert cache.cache.stats.hit_tokens == 4


def test_tier_that_fails_to_load_ends_the_chain() -> None:
    cache = CheckedCache(6, tiered=True)
    cache.run(1, [1, 2, 3, 4, 5])
    cache.cache.clear()
    cache.tier.damaged = True
    assert cache.begin(2, [1, 2, 3, 4, 5]) == 0
    assert cache.cache.num_free == 6
    assert cache.compute(2)


def test_tier_restores_no_more_than_a_bounded_sequence_may_hold() -> None:
    cache = CheckedCache(6, tiered=True)
    cache.run(1, range(9))
    cache.cache.clear()
    assert cache.begin(2, range(9), need=3) == 4


def test_tier_is_not_asked_when_sharing_is_off() -> None:
    cache = CheckedCache(6, tiered=True, sharing=False)
    cache.run(1, range(9))
    assert cache.tier.saves == []
