"""A policy of a plugin: passed on as it is, until it fails."""

from __future__ import annotations

import math

import pytest

from nanoaccel.registry import EVICTION_POLICIES
from nanoaccel.runtime.kv.eviction import LeastFrequentlyUsed
from nanoaccel.runtime.kv.plugged import GuardedPolicy, make_policy


class Scripted:
    """Answers what it is told to; raises what is an error."""

    def __init__(self, *answers: float | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[int, int]] = []
        self.gone: list[float] = []

    def priority(self, uses: int, depth: int) -> float:
        self.asked.append((uses, depth))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def evicted(self, priority: float) -> None:
        if priority < 0:
            raise LookupError("below zero")
        self.gone.append(priority)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, BaseException]]:
    """The plugins that were switched off, and why."""
    found: list[tuple[str, BaseException]] = []
    monkeypatch.setattr(
        EVICTION_POLICIES, "switch_off", lambda name, error: found.append((name, error))
    )
    return found


def test_guarded_policy_passes_on_what_it_is_asked_and_told() -> None:
    policy = Scripted(3.0, 1.0)
    guarded = GuardedPolicy("mine", policy)
    assert [guarded.priority(2, 8), guarded.priority(5, 16)] == [3.0, 1.0]
    guarded.evicted(1.0)
    assert (policy.asked, policy.gone) == ([(2, 8), (5, 16)], [1.0])


@pytest.mark.parametrize("fault", [KeyError("x"), math.nan, math.inf])
def test_guarded_policy_that_failed_puts_newcomers_behind_all_that_it_judged(
    fault: float | Exception, told: list[tuple[str, BaseException]]
) -> None:
    policy = Scripted(3.0, 7.0, 1.0, fault)
    guarded = GuardedPolicy("mine", policy)
    assert [guarded.priority(1, depth) for depth in range(6)] == [3.0, 7.0, 1.0, 7.0, 7.0, 7.0]
    assert len(policy.asked) == 4
    guarded.evicted(-1.0)  # it is not told any more
    ((name, error),) = told
    assert name == "mine"
    assert isinstance(error, type(fault) if isinstance(fault, Exception) else ValueError)


def test_guarded_policy_that_cannot_bear_an_eviction_is_switched_off(
    told: list[tuple[str, BaseException]],
) -> None:
    guarded = GuardedPolicy("mine", Scripted(3.0))
    guarded.evicted(-1.0)
    assert [(name, type(error)) for name, error in told] == [("mine", LookupError)]
    assert guarded.priority(1, 1) == 0.0


def test_built_in_policy_is_not_guarded() -> None:
    assert isinstance(make_policy("lfu"), LeastFrequentlyUsed)
