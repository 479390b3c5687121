"""What every eviction policy promises: it loses no block, and nothing stays for ever."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from support.checked_cache import CheckedCache

from nanoaccel.registry import EVICTION_POLICIES
from nanoaccel.runtime.kv import EvictionPolicy


@pytest.fixture(params=EVICTION_POLICIES.names())
def make_policy(request: pytest.FixtureRequest) -> Callable[[], EvictionPolicy]:
    made: Callable[[], EvictionPolicy] = EVICTION_POLICIES.resolve(request.param)
    return made


def test_eviction_policy_gives_numbers_that_do_not_fall_with_use(
    make_policy: Callable[[], EvictionPolicy],
) -> None:
    policy = make_policy()
    for depth in (1, 32, 100_000):
        worth = [policy.priority(uses, depth) for uses in (1, 2, 10, 1000)]
        assert worth == sorted(worth)
        assert all(map(math.isfinite, worth))
    policy.evicted(worth[0])
    assert policy.priority(1, 1) >= 0.0


def test_eviction_policy_of_one_cache_knows_nothing_of_another(
    make_policy: Callable[[], EvictionPolicy],
) -> None:
    aged, fresh = make_policy(), make_policy()
    before = fresh.priority(1, 32)
    aged.evicted(100.0)
    assert fresh.priority(1, 32) == before


def test_eviction_policy_takes_the_deepest_block_of_a_chain_first(
    make_policy: Callable[[], EvictionPolicy],
) -> None:
    cache = CheckedCache(5, policy=make_policy())
    cache.run(1, range(9))
    for taken, hits in ((2, 6), (3, 4), (4, 2), (5, 0)):
        assert cache.occupy(9, taken)
        cache.end(9)
        assert cache.begin(2, range(9)) == hits
        cache.end(2)


def test_eviction_policy_lets_an_old_favourite_go(
    make_policy: Callable[[], EvictionPolicy],
) -> None:
    cache = CheckedCache(6, policy=make_policy())
    for _ in range(20):
        cache.run(0, [-1, -1, -1])
    for prompt in range(200):
        cache.run(1, [prompt] * 5)
    assert cache.run(0, [-1, -1, -1]) == 0


def test_eviction_policy_keeps_contents_right_under_pressure(
    make_policy: Callable[[], EvictionPolicy],
) -> None:
    random = np.random.default_rng(0)
    cache = CheckedCache(16, policy=make_policy(), tiered=True)
    for turn in range(300):
        sequence = turn % 3
        cache.end(sequence)
        tokens = random.integers(0, 2, random.integers(1, 10))
        assert cache.begin(sequence, tokens.tolist()) is not None
        assert cache.compute(sequence)
    assert cache.cache.stats.hit_tokens > 0
    assert cache.cache.stats.evictions > 0
