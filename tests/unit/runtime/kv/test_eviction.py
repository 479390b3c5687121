from __future__ import annotations

from nanoaccel.runtime.kv.eviction import (
    CheapestToCompute,
    LeastFrequentlyUsed,
    LeastRecentlyUsed,
)
from nanoaccel.testing.checked_cache import CheckedCache


def test_lru_evicts_what_was_left_first() -> None:
    policy = LeastRecentlyUsed()
    assert policy.priority(uses=9, depth=1) == policy.priority(uses=1, depth=9000)


def test_lru_keeps_what_was_used_last() -> None:
    cache = CheckedCache(3, policy=LeastRecentlyUsed())
    for prompt in (1, 1, 1, 2, 3):
        cache.run(0, [prompt] * 2)
    assert cache.occupy(9, 1)
    cache.end(9)
    assert [cache.run(prompt, [prompt] * 3) for prompt in (3, 2)] == [2, 2]


def test_lfu_keeps_what_was_used_often() -> None:
    cache = CheckedCache(3, policy=LeastFrequentlyUsed())
    for prompt in (1, 1, 2, 2, 3):
        cache.run(0, [prompt] * 3 if prompt < 3 else [prompt] * 2)
    assert cache.occupy(9, 1)
    cache.end(9)
    assert [cache.run(prompt, [prompt] * 3) for prompt in (1, 2)] == [2, 2]


def test_lfu_lets_newcomers_start_where_the_last_victim_was() -> None:
    policy = LeastFrequentlyUsed()
    assert policy.priority(uses=2, depth=0) == 2
    policy.evicted(7.0)
    policy.evicted(5.0)
    assert policy.priority(uses=2, depth=0) == 9


def test_cost_weighs_uses_with_what_a_token_costs_at_its_depth() -> None:
    policy = CheapestToCompute()
    near, far = policy.priority(uses=1, depth=32), policy.priority(uses=1, depth=12_288)
    assert far > 2 * near
    assert policy.priority(uses=4, depth=32) > far
    policy.evicted(10.0)
    assert policy.priority(uses=1, depth=32) == near + 10.0
