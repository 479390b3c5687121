from __future__ import annotations

import random

import pytest

from nanoaccel.runtime.speculation.acceptance import AcceptanceEstimator, Experience


def test_experience_begins_with_its_priors() -> None:
    experience = Experience([0.1, 0.9])
    assert [experience.rate(0), experience.rate(1)] == pytest.approx([0.1, 0.9])


def test_experience_follows_what_it_sees() -> None:
    experience = Experience([0.1, 0.9])
    source = random.Random(0)
    for _ in range(2000):
        experience.note(0, source.random() < 0.6)
    assert experience.rate(0) == pytest.approx(0.6, abs=0.15)
    assert experience.rate(1) == pytest.approx(0.9)


def test_belief_begins_with_what_others_have_seen() -> None:
    experience = Experience([0.5])
    first = AcceptanceEstimator(experience)
    for _ in range(100):
        first.note(0, True)
    assert AcceptanceEstimator(experience).chance(0) > 0.8


def test_belief_learns_at_one_level_about_the_others() -> None:
    experience = Experience([0.3, 0.6])
    belief = AcceptanceEstimator(experience)
    for _ in range(10):
        belief.note(0, False)
    assert belief.chance(1) < 0.5
    assert AcceptanceEstimator(experience).chance(1) == pytest.approx(0.6)


def test_belief_stays_a_probability() -> None:
    belief = AcceptanceEstimator(Experience([0.0, 1.0]))
    for right in [True] * 500 + [False] * 500:
        belief.note(0, right)
        belief.note(1, right)
        assert 0 < belief.chance(0) < 1
        assert 0 < belief.chance(1) < 1
