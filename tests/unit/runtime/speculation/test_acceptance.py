from __future__ import annotations

import math
import random

import pytest

from nanoaccel.runtime.speculation.acceptance import AcceptanceEstimator, AcceptanceHistory


def test_experience_begins_with_its_priors() -> None:
    history = AcceptanceHistory([0.1, 0.9])
    assert [history.rate(0), history.rate(1)] == pytest.approx([0.1, 0.9])


def test_experience_follows_what_it_sees() -> None:
    history = AcceptanceHistory([0.1, 0.9])
    source = random.Random(0)
    for _ in range(2000):
        history.note(0, source.random() < 0.6)
    assert history.rate(0) == pytest.approx(0.6, abs=0.15)
    assert history.rate(1) == pytest.approx(0.9)


def test_belief_begins_with_what_others_have_seen() -> None:
    history = AcceptanceHistory([0.5])
    first = AcceptanceEstimator(history)
    for _ in range(100):
        first.note(0, True)
    assert AcceptanceEstimator(history).chance(0) > 0.8


def test_belief_learns_at_one_level_about_the_others() -> None:
    history = AcceptanceHistory([0.3, 0.6])
    estimator = AcceptanceEstimator(history)
    for _ in range(10):
        estimator.note(0, False)
    assert estimator.chance(1) < 0.5
    assert AcceptanceEstimator(history).chance(1) == pytest.approx(0.6)


def test_belief_stays_a_probability() -> None:
    estimator = AcceptanceEstimator(AcceptanceHistory([0.0, 1.0]))
    for right in [True] * 500 + [False] * 500:
        estimator.note(0, right)
        estimator.note(1, right)
        assert 0 < estimator.chance(0) < 1
        assert 0 < estimator.chance(1) < 1


def test_history_forgets_slowly() -> None:
    history = AcceptanceHistory([0.1, 0.5])
    assert history.mean == pytest.approx(0.3)
    history.note(1, True)
    assert history.rate(1) == pytest.approx((4 * 0.99 + 1) / (8 * 0.99 + 1))
    assert history.rate(0) == pytest.approx(0.1)
    assert history.mean == pytest.approx(0.3 + 0.01 * 0.7)


def test_estimator_multiplies_the_odds_of_experience() -> None:
    history = AcceptanceHistory([0.5])
    estimator = AcceptanceEstimator(history)
    lean = 0.0
    for right in (True, False, True):
        lean = 0.98 * lean + 0.35 * (right - estimator.chance(0))
        estimator.note(0, right)
        for found, rate in (
            (estimator.chance(0), history.rate(0)),
            (estimator.outlook(), history.mean),
        ):
            assert found / (1 - found) == pytest.approx(math.exp(lean) * rate / (1 - rate))


def test_estimator_is_never_surer_than_one_in_a_hundred() -> None:
    estimator = AcceptanceEstimator(AcceptanceHistory([0.0, 1.0]))
    assert [estimator.chance(bucket) for bucket in (0, 1)] == pytest.approx([0.01, 0.99])
    estimator.note(1, True)
    assert estimator.chance(1) == 0.99
