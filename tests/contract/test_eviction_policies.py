"""The contract of eviction policies, over the built-in ones and those that packages add."""

from __future__ import annotations

import pytest

from nanoaccel.registry import EVICTION_POLICIES
from nanoaccel.runtime.kv.eviction import EvictionPolicyFactory
from nanoaccel.testing.contracts.eviction_policy import TestEvictionPolicy  # noqa: F401


@pytest.fixture(scope="module", params=EVICTION_POLICIES.names())
def subject(request: pytest.FixtureRequest) -> EvictionPolicyFactory:
    made: EvictionPolicyFactory = EVICTION_POLICIES.resolve(request.param)
    return made
