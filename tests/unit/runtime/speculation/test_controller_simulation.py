"""A controller whose machine, texts and drafts are simulated."""

from __future__ import annotations

import random

import pytest
from support.speculating import (
    Curve,
    Outcome,
    Simulation,
    Truth,
    blocked,
    decaying,
    flat,
    independent,
    steep,
    switching,
    teasing,
)

from nanoaccel.runtime.speculation.ledger import START

# A step that begins with less than its worst case left does not speculate, so that the account
# never falls below zero; what it measures itself by is learned, hence the slack.
SLACK = 0.25


def adversary(_token: int, _position: int, checked: bool) -> bool:
    """Right whenever it is not checked."""
    return not checked


def best_speedup(curve: Curve, rate: float) -> float:
    """Of the best fixed number of guesses."""
    tokens = [1 + sum(rate**place for place in range(1, g + 1)) for g in range(17)]
    return max(curve(1) * given / curve(1 + g) for g, given in enumerate(tokens))


@pytest.mark.parametrize("curve", [flat, steep, blocked])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_controller_comes_near_the_best_fixed_length(curve: Curve, rate: float) -> None:
    outcome = Simulation(curve, independent(rate), tokens=2000).run()
    assert outcome.speedup > 0.95 * best_speedup(curve, rate)
    assert outcome.speedup > 0.98
    assert outcome.overrun <= START + SLACK


@pytest.mark.parametrize("curve", [flat, steep, blocked])
@pytest.mark.parametrize(
    "truth",
    [decaying(), switching(32), switching(64), switching(256), teasing(), adversary],
    ids=["decaying", "switching 32", "switching 64", "switching 256", "teasing", "adversary"],
)
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_controller_never_loses_more_than_the_ledger_allows(
    curve: Curve, truth: Truth, batch: int
) -> None:
    outcome = Simulation(curve, truth, tokens=1000, batch=batch).run()
    assert outcome.overrun <= START + SLACK
    assert outcome.speedup > 0.97


@pytest.mark.parametrize("curve", [flat, steep, blocked])
def test_controller_gains_where_guesses_are_good_at_times(curve: Curve) -> None:
    for truth, least in ((decaying(), 1.15), (switching(64), 1.2), (switching(256), 1.3)):
        assert Simulation(curve, truth, tokens=2000).run().speedup > least


@pytest.mark.parametrize("curve", [flat, steep, blocked])
def test_controller_pays_for_its_lessons_once_and_not_with_each_short_request(
    curve: Curve,
) -> None:
    for rate in (0.0, 0.1, 0.2):
        outcome = Simulation(curve, independent(rate), tokens=64, rounds=30).run()
        assert outcome.speedup > 0.98
        assert outcome.overrun <= START + SLACK


@pytest.mark.parametrize("curve", [flat, steep, blocked])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.7])
def test_controller_bears_spikes(curve: Curve, rate: float) -> None:
    def spikes(source: random.Random) -> float:
        return 3.0 if source.random() < 0.02 else 1.0

    def run(truth: Truth, seed: int) -> Outcome:
        return Simulation(curve, truth, tokens=2000, noise=spikes, seed=seed).run()

    outcomes = [run(independent(rate, seed), seed) for seed in range(5)]
    # Spikes hit plain steps as well: by 4 % on average.
    speedup = 1.04 * sum(outcome.speedup for outcome in outcomes) / len(outcomes)
    assert speedup > max(0.97, 0.88 * best_speedup(curve, rate))


@pytest.mark.parametrize("curve", [flat, steep, blocked])
@pytest.mark.parametrize("error", [0.5, 0.75, 1.25])
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.7])
def test_controller_learns_costs_that_were_measured_wrongly(
    curve: Curve, error: float, rate: float
) -> None:
    outcome = Simulation(
        curve,
        independent(rate),
        tokens=2000,
        wrong_by=lambda size: error if size > 1 else 1.0,
    ).run()
    assert outcome.speedup > max(0.97, 0.9 * best_speedup(curve, rate))


@pytest.mark.parametrize("curve", [flat, steep, blocked])
def test_controller_loses_nothing_where_rows_seem_to_cost_twice_what_they_do(curve: Curve) -> None:
    for rate in (0.0, 0.3, 0.7):
        outcome = Simulation(
            curve,
            independent(rate),
            tokens=1000,
            wrong_by=lambda size: 2.0 if size > 1 else 1.0,
        ).run()
        assert outcome.speedup > 0.98


@pytest.mark.parametrize("curve", [flat, steep, blocked])
@pytest.mark.parametrize("error", [0.5, 2.0])
def test_controller_learns_that_the_whole_machine_was_measured_wrongly(
    curve: Curve, error: float
) -> None:
    for rate in (0.0, 0.3, 0.7):
        outcome = Simulation(
            curve, independent(rate), tokens=300, rounds=2, wrong_by=lambda _: error
        ).run()
        assert outcome.speedup > max(0.97, 0.9 * best_speedup(curve, rate))


@pytest.mark.parametrize("curve", [flat, steep, blocked])
@pytest.mark.parametrize("batch", [2, 4, 8])
def test_controller_gains_in_batches(curve: Curve, batch: int) -> None:
    outcome = Simulation(curve, independent(0.8), tokens=300, batch=batch).run()
    # Where a row costs two thirds of a token, those that are right four times of five hardly pay.
    assert outcome.speedup > 1.15 if curve is flat else outcome.speedup >= 1.0
