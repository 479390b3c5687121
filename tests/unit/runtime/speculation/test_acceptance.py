from __future__ import annotations

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
