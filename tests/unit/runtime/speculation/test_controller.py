"""What a controller chooses where the cost of a pass is known."""

from __future__ import annotations

import pytest
from support.speculating import Curve, flat

from nanoaccel.runtime.execution.scaled_curve import ScaledCurve
from nanoaccel.runtime.speculation.controller import PLAIN_EVERY, Controller
from nanoaccel.runtime.speculation.ledger import CAP, START, Ledger
from nanoaccel.runtime.speculation.steps import StepShape


def known(curve: Curve) -> ScaledCurve:
    cost = ScaledCurve()
    cost.restore({size: curve(size) for size in (1, 2, 4, 8, 16)})
    return cost


def test_controller_without_costs_checks_nothing() -> None:
    for writers in (1, 3):
        shape = StepShape(writers, writers)
        assert Controller(ScaledCurve()).choose([[0.9]] * writers, shape, 16) == [0] * writers


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
