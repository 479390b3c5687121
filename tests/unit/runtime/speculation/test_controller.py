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

from nanoaccel.runtime.execution.scaled_curve import ScaledCurve
from nanoaccel.runtime.speculation.controller import PLAIN_EVERY, Controller
from nanoaccel.runtime.speculation.ledger import CAP, START, Ledger
from nanoaccel.runtime.speculation.steps import StepShape

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


def known(curve: Curve) -> ScaledCurve:
    cost = ScaledCurve()
    cost.restore({size: curve(size) for size in (1, 2, 4, 8, 16)})
    return cost


def test_controller_without_costs_checks_nothing() -> None:
    assert Controller(ScaledCurve()).choose([[0.9]], StepShape(1, 1), 16) == [0]


def test_controller_shares_guesses_by_what_they_promise() -> None:
    controller = Controller(known(flat))
    counts = controller.choose([[0.9, 0.8, 0.7], [], [0.95, 0.1]], StepShape(3, 3), 16)
    assert counts[0] >= 2
    assert counts[1] == 0
    assert counts[2] == 1


def test_controller_keeps_the_limit() -> None:
    controller = Controller(known(flat))
    assert sum(controller.choose([[0.9] * 9, [0.9] * 9], StepShape(2, 2), 3)) == 3
    assert controller.choose([[0.9] * 9], StepShape(1, 1), 0) == [0]


def test_controller_fills_a_pass_that_is_padded_anyway() -> None:
    def pad(tokens: int) -> int:
        return next(size for size in (1, 4, 8, 16) if size >= tokens)

    shape, chances = StepShape(1, 1), [0.9, 0.3, 0.05, 0.04, 0.03]
    assert Controller(known(flat)).choose([chances], shape, 16) == [2]
    controller = Controller(known(flat), pad)
    assert controller.choose([chances], shape, 16) == [3]
    assert [controller.pass_size(shape, num_drafts) for num_drafts in (0, 1, 3, 4)] == [1, 4, 4, 8]


def test_controller_takes_a_plain_step_now_and_then() -> None:
    controller = Controller(known(flat))
    counts = []
    for _ in range(2 * PLAIN_EVERY + 2):
        counts += controller.choose([[0.95] * 4], StepShape(1, 1), 16)
        controller.settle(StepShape(1, 1), counts[-1], 1 + counts[-1], 0.0)
    assert counts.count(0) == 4, "after 8 steps, 16, 32 and 64"


def test_controller_begins_only_where_it_gains_enough() -> None:
    # A guess costs 1.1 of 8.7 ms, so that 0.13 is where it pays; a little more is not enough.
    shape = StepShape(1, 1)
    controller = Controller(known(flat))
    assert controller.choose([[0.15]], shape, 16) == [0]
    assert controller.choose([[0.5]], shape, 16) == [1]
    assert controller.choose([[0.15]], shape, 16) == [1]


def test_ledger_covers_no_more_than_it_holds() -> None:
    ledger = Ledger()
    assert ledger.covers(START)
    assert not ledger.covers(START + 0.01)
    ledger.settle(plain=1.0, spent=2.0)
    assert ledger.balance == pytest.approx(START - 0.98)
    for _ in range(1000):
        ledger.settle(plain=5.0, spent=1.0)
    assert ledger.balance == CAP
    assert ledger.saved == pytest.approx(1000 * 4.0 - 1.0)


def test_controller_values_draft_tokens_less_that_only_some_requests_gain_by() -> None:
    shape = StepShape(8, 8)
    assert Controller(known(flat)).choose([[0.8]] * 8, shape, 100) == [1] * 8
    some = Controller(known(flat)).choose([[0.8]] * 4, shape, 100)
    assert some == [0] * 4, "the other four need as many passes"
