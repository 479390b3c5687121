"""Eviction policies by name, those of plugins so that no error of theirs reaches the cache."""

from __future__ import annotations

import math

from nanoaccel.registry import EVICTION_POLICIES
from nanoaccel.runtime.kv.eviction import EvictionPolicy


def make_policy(name: str) -> EvictionPolicy:
    """Make the policy of a cache.

    Raises:
        ConfigError: There is no such policy.
        PluginError: It cannot be used.
    """
    policy: EvictionPolicy = EVICTION_POLICIES.make(name)
    return GuardedPolicy(name, policy) if EVICTION_POLICIES.is_plugin(name) else policy


class GuardedPolicy:
    """A policy until it fails or gives no finite number; from then on least recently used.

    Args:
        name: Name of the policy.
        policy: The policy.
    """

    def __init__(self, name: str, policy: EvictionPolicy) -> None:
        self._name = name
        self._policy: EvictionPolicy | None = policy
        self._highest = 0.0

    def priority(self, uses: int, depth: int) -> float:
        """See ``EvictionPolicy``; once it has failed, newcomers go after all that it judged."""
        if self._policy is not None:
            try:
                priority = float(self._policy.priority(uses, depth))
                if not math.isfinite(priority):
                    raise ValueError(f"the priority {priority} is not finite")
                self._highest = max(self._highest, priority)
                return priority
            except Exception as error:
                self._fail(error)
        return self._highest

    def evicted(self, priority: float) -> None:
        """See ``EvictionPolicy``."""
        if self._policy is not None:
            try:
                self._policy.evicted(priority)
            except Exception as error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._policy = None
        EVICTION_POLICIES.switch_off(self._name, error)
