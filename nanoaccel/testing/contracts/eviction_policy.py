"""What every eviction policy promises: it loses no block, and nothing stays for ever."""

from __future__ import annotations

import math

import numpy as np

from nanoaccel.registry import EVICTION_POLICIES
from nanoaccel.registry.extension_point import check
from nanoaccel.runtime.kv.eviction import EvictionPolicyFactory
from nanoaccel.testing.checked_cache import CheckedCache

CONTRACT = "eviction_policy"


class TestEvictionPolicy:
    """The suite; ``subject`` makes the policy of a cache."""

    def test_it_has_what_the_interface_says(self, subject: EvictionPolicyFactory) -> None:
        assert EVICTION_POLICIES.makes is not None
        check(subject, EVICTION_POLICIES.interface, ())
        check(subject(), EVICTION_POLICIES.makes, ())

    def test_priorities_are_finite_and_do_not_fall_with_use(
        self, subject: EvictionPolicyFactory
    ) -> None:
        policy = subject()
        for depth in (1, 32, 100_000):
            worth = [policy.priority(uses, depth) for uses in (1, 2, 10, 1000)]
            assert worth == sorted(worth)
            assert all(map(math.isfinite, worth))
        policy.evicted(worth[0])
        assert policy.priority(1, 1) >= 0.0

    def test_policy_of_one_cache_knows_nothing_of_another(
        self, subject: EvictionPolicyFactory
    ) -> None:
        aged, fresh = subject(), subject()
        before = fresh.priority(1, 32)
        for uses in range(1, 50):
            aged.evicted(100.0 + aged.priority(uses, 32))
        assert fresh.priority(1, 32) == before
        assert subject().priority(1, 32) == before

    def test_it_takes_the_deepest_block_of_a_chain_first(
        self, subject: EvictionPolicyFactory
    ) -> None:
        cache = CheckedCache(5, policy=subject())
        cache.run(1, range(9))
        for taken, hits in ((2, 6), (3, 4), (4, 2), (5, 0)):
            assert cache.occupy(9, taken)
            cache.end(9)
            assert cache.begin(2, range(9)) == hits
            cache.end(2)

    def test_it_lets_an_old_favourite_go(self, subject: EvictionPolicyFactory) -> None:
        cache = CheckedCache(6, policy=subject())
        for _ in range(20):
            cache.run(0, [-1, -1, -1])
        for prompt in range(200):
            cache.run(1, [prompt] * 5)
        assert cache.run(0, [-1, -1, -1]) == 0

    def test_it_keeps_contents_right_under_pressure(self, subject: EvictionPolicyFactory) -> None:
        random = np.random.default_rng(0)
        cache = CheckedCache(16, policy=subject(), tiered=True)
        for turn in range(300):
            sequence = turn % 3
            cache.end(sequence)
            tokens = random.integers(0, 2, random.integers(1, 10))
            assert cache.begin(sequence, tokens.tolist()) is not None
            assert cache.compute(sequence)
        assert cache.cache.stats.hit_tokens > 0
        assert cache.cache.stats.evictions > 0
