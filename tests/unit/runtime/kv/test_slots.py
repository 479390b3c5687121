from __future__ import annotations

import pytest
from support.checked_cache import CheckedCache

from nanoaccel.runtime.kv import SlotCache


def slots(num_slots: int = 3, num_blocks: int = 12, **options: bool) -> CheckedCache:
    """A cache of slots with blocks of two tokens."""
    return CheckedCache(num_blocks, num_slots=num_slots, **options)


def slot_of(cache: CheckedCache, sequence: int) -> int:
    return cache.blocks(sequence)[0] // cache.cache.num_blocks


def test_slots_go_on_in_place_where_a_sequence_is_continued() -> None:
    cache = slots()
    cache.run(1, [1, 2, 3, 4, 5])
    assert cache.begin(2, [1, 2, 3, 4, 5, 6]) == 4
    assert cache.memory.copied == 0


def test_slots_copy_a_prefix_from_a_sequence_that_runs() -> None:
    cache = slots()
    cache.begin(1, [1, 2, 3, 4, 5])
    assert cache.compute(1)
    assert cache.begin(2, [1, 2, 3, 4, 9]) == 4
    assert cache.memory.copied == 2
    assert slot_of(cache, 1) != slot_of(cache, 2)


def test_slots_copy_a_prefix_rather_than_lose_what_follows_it() -> None:
    cache = slots()
    cache.run(1, [1, 2, 3, 4, 5, 6, 7])
    assert cache.begin(2, [1, 2, 9]) == 2
    cache.end(2)
    assert cache.run(3, [1, 2, 3, 4, 5, 6, 7]) == 6


def test_slots_that_hold_the_same_twice_are_used_first() -> None:
    cache = slots(num_slots=2)
    for sequence in (1, 2):
        cache.begin(sequence, [1, 2, 3])
    for sequence in (1, 2):
        assert cache.compute(sequence)
    cache.end(1)
    cache.end(2)
    assert cache.cache.num_cached == 1
    cache.run(3, [7, 7, 7])
    assert cache.begin(4, [1, 2, 3]) == 2


def test_slots_lose_the_one_left_first() -> None:
    cache = slots(num_slots=2)
    cache.run(1, [1, 1, 1])
    cache.run(2, [2, 2, 2])
    cache.run(3, [3, 3, 3])
    assert cache.run(4, [2, 2, 2]) == 2
    assert cache.run(5, [1, 1, 1]) == 0
    assert cache.cache.stats.evictions == 2


def test_slots_give_up_the_ends_of_what_is_cached_for_want_of_memory() -> None:
    cache = slots(num_blocks=4)
    cache.run(1, [1, 2, 3, 4, 5, 6])
    assert cache.cache.num_cached == 3
    assert cache.occupy(2, 2)
    assert cache.cache.num_cached == 2
    cache.end(2)
    assert cache.begin(3, [1, 2, 3, 4, 5, 6]) == 4


def test_slots_refuse_a_sequence_more_than_there_are() -> None:
    cache = slots(num_slots=2)
    assert cache.begin(1, [1, 2, 3]) == 0
    assert cache.occupy(2, 1)
    assert cache.begin(3, [1, 2, 3]) is None
    assert not cache.occupy(4, 1)
    cache.end(2)
    assert cache.begin(3, [1, 2, 3]) == 0


def test_slots_refuse_what_is_longer_than_one() -> None:
    cache = CheckedCache(12, num_slots=2)
    short = SlotCache(
        12,
        2,
        num_slots=2,
        slot_blocks=3,
        memory=cache.memory,  # type: ignore[arg-type]
    )
    assert short.allocate(1, 6)
    assert not short.allocate(1, 7)
    short.check_integrity()


@pytest.mark.parametrize("sharing", [True, False])
def test_slots_close_up_over_dropped_blocks(sharing: bool) -> None:
    cache = slots(sharing=sharing)
    cache.begin(1, [1, 2, 3, 4, 5, 6, 7])
    assert cache.compute(1)
    cache.drop(1, [0, 2])
    cache.extend(1, [8, 9])
    assert cache.compute(1)
    cache.end(1)
    assert cache.run(2, [1, 2, 3]) == 0, "its start is gone"


def test_slots_come_back_from_the_tier() -> None:
    cache = slots(num_slots=1, tiered=True)
    cache.run(1, [1, 2, 3, 4, 5])
    cache.run(2, [6, 6, 6])
    assert cache.begin(3, [1, 2, 3, 4, 5]) == 4
    assert cache.cache.stats.restored_tokens == 4
