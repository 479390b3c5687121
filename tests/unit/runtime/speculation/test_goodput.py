"""What draft tokens are worth where a pass takes 10 s, and 2 s a token."""

from __future__ import annotations

import pytest

from nanoaccel.runtime.execution.scaled_curve import ScaledCurve
from nanoaccel.runtime.speculation.controller import Controller
from nanoaccel.runtime.speculation.draft_cost import DraftTokenCost
from nanoaccel.runtime.speculation.ledger import START
from nanoaccel.runtime.speculation.steps import Goodput, StepSavings, StepShape

ALONE = StepShape(1, 1)
LINEAR = {1: 12.0, 2: 14.0, 8: 26.0, 16: 42.0}
BENT = {1: 10.0, 4: 16.0, 8: 40.0, 16: 100.0}


def times(points: dict[int, float]) -> ScaledCurve:
    curve = ScaledCurve()
    curve.restore(points)
    return curve


@pytest.fixture
def controller() -> Controller:
    return Controller(times(LINEAR))


def unknown() -> Controller:
    return Controller(ScaledCurve())


def fours(tokens: int) -> int:
    return 1 if tokens == 1 else -(-tokens // 4) * 4


def told(found: Goodput) -> tuple[int, float, float]:
    return found.count, found.rate, found.plain


@pytest.mark.parametrize(
    ("chances", "shape", "count", "rate"),
    [
        ([0.9, 0.8, 0.1], ALONE, 2, 2.7 / 16),
        ([0.5], StepShape(2, 2), 1, 2.5 / 16),
        ([0.9], StepShape(1, 4), 1, 1.9 / 20),
        ([0.18], ALONE, 0, 1 / 12),  # it gains less than 3 %
        ([], ALONE, 0, 1 / 12),
    ],
)
def test_goodput_is_the_best_rate(
    controller: Controller, chances: list[float], shape: StepShape, count: int, rate: float
) -> None:
    plain = shape.writers / (10 + 2 * shape.tokens)
    assert told(controller.goodput(chances, shape)) == pytest.approx((count, rate, plain))


def test_goodput_counts_what_drafting_takes(controller: Controller) -> None:
    found = controller.goodput([0.9, 0.8], ALONE, DraftTokenCost(3.0, 1.0))
    assert told(found) == pytest.approx((2, 2.7 / 20, 1 / 12))
    assert controller.goodput([0.9, 0.8], ALONE, DraftTokenCost(20.0, 10.0)).count == 0


def test_goodput_looks_past_draft_tokens_that_fill_a_pass() -> None:
    found = Controller(times(LINEAR), fours).goodput([0.5, 0.4, 0.3], ALONE)
    assert told(found) == pytest.approx((3, 2.2 / 18, 1 / 12))


def test_goodput_asks_for_less_once_speculation_is_on(controller: Controller) -> None:
    assert controller.choose([[0.9]], ALONE, 16) == [1]
    assert told(controller.goodput([0.18], ALONE)) == pytest.approx((1, 1.18 / 14, 1 / 12))


@pytest.mark.parametrize(("left", "count"), [(0.1, 0), (0.2, 1), (0.4, 2)])
def test_goodput_keeps_to_what_may_be_lost(controller: Controller, left: float, count: int) -> None:
    controller.ledger.settle(0.0, START - left)
    assert controller.goodput([0.9, 0.9, 0.9], ALONE).count == count


def test_nothing_is_promised_before_passes_were_measured() -> None:
    assert told(unknown().goodput([0.9], ALONE)) == (0, 0.0, 0.0)
    assert unknown().savings(ALONE, 2, 1.0) == StepSavings()
    assert unknown().affordable(DraftTokenCost(1.0, 1.0)) > 1000
    controller = unknown()
    controller.settle(ALONE, 2, 3, 1.0)
    assert controller.ledger.saved == 0


def test_saving_is_against_the_best_alternative() -> None:
    found = Goodput(2, 4.0, 2.0)
    assert found.saving(0.0) == pytest.approx(1 / 2 - 1 / 4)
    assert found.saving(3.0) == pytest.approx(1 / 3 - 1 / 4)
    assert Goodput(0, 0.0).saving(0.0) == 0


@pytest.mark.parametrize(
    ("shape", "least"), [(ALONE, 2 / 12), (StepShape(1, 4), 2 / 12), (StepShape(2, 6), 2 / 7)]
)
def test_least_chance_is_a_tokens_share_of_a_plain_one(
    controller: Controller, shape: StepShape, least: float
) -> None:
    assert controller.least_chance(shape) == pytest.approx(least)


def test_least_chance_shares_a_pass_that_is_padded() -> None:
    bent = Controller(times(BENT), fours)
    assert bent.least_chance(ALONE) == pytest.approx(6 / 2 / 10)
    assert Controller(times({1: 10.0, 16: 10.1})).least_chance(ALONE) == 0.02


def test_least_chance_is_worked_out_again_now_and_then() -> None:
    curve = ScaledCurve()
    controller = Controller(curve)
    assert controller.least_chance(ALONE) == 0.02
    curve.restore(LINEAR)
    for _ in range(15):
        controller.settle(ALONE, 0, 1, 12.0)
        assert controller.least_chance(ALONE) == 0.02
    controller.settle(ALONE, 0, 1, 12.0)
    assert controller.least_chance(ALONE) == pytest.approx(2 / 12)


def test_floors_share_what_a_larger_pass_takes_more(controller: Controller) -> None:
    cost = DraftTokenCost(5.0, 1.0)
    assert controller.floors(3, ALONE, cost, 0.1) == pytest.approx([0.3] * 3)
    bent = Controller(times(BENT), fours)
    assert bent.floors(7, ALONE, cost, 0.1) == pytest.approx([0.3] * 3 + [0.7] * 4)
    assert bent.floors(0, ALONE, cost, 0.1) == pytest.approx([0.1])


@pytest.mark.parametrize(
    ("cost", "before", "count"),
    [
        (DraftTokenCost(6.0, 3.0), 0.0, 11),
        (DraftTokenCost(6.0, 3.0), 15.0, 6),
        (DraftTokenCost(6.0, 6.0), 31.0, 0),
        (DraftTokenCost(35.0, 20.0), 0.0, 1),
    ],
)
def test_draft_tokens_are_made_as_far_as_the_account_reaches(
    controller: Controller, cost: DraftTokenCost, before: float, count: int
) -> None:
    assert controller.affordable(cost, before) == count


def test_draft_tokens_that_cost_nothing_more_are_not_counted(controller: Controller) -> None:
    assert controller.affordable(DraftTokenCost(1.0, 0.0)) > 1000
    assert controller.affordable(DraftTokenCost(37.0, 0.0)) == 0


@pytest.mark.parametrize(("shape", "seconds"), [(StepShape(2, 2), 20.0), (StepShape(2, 6), 28.0)])
def test_savings_leave_out_the_prompts(
    controller: Controller, shape: StepShape, seconds: float
) -> None:
    found = controller.savings(shape, 3, seconds)
    assert (found.token, found.row) == pytest.approx((7, 4))
    assert controller.savings(shape, 0, seconds) == StepSavings()


@pytest.mark.parametrize(
    ("shape", "num_drafts", "given", "seconds", "drafting", "saved"),
    [
        (ALONE, 0, 1, 12.0, 6.0, -0.5),
        (ALONE, 2, 3, 16.0, 0.0, 3 - 16 / 12),
        (StepShape(2, 2), 2, 4, 18.0, 6.0, 28 / 12 - 24 / 12),
        (StepShape(1, 4), 2, 3, 22.0, 6.0, 3 - 22 / 12),
        (StepShape(1, 4), 2, 3, 100.0, 0.0, 3 - 27 / 12),  # others made it that slow
        (StepShape(1, 4), 2, 3, 1.0, 0.0, 3 - 12 / 12),
    ],
)
def test_settling_books_what_a_step_brought(
    controller: Controller,
    shape: StepShape,
    num_drafts: int,
    given: int,
    seconds: float,
    drafting: float,
    saved: float,
) -> None:
    controller.settle(shape, num_drafts, given, seconds, drafting)
    assert controller.ledger.saved == pytest.approx(saved)


def test_settling_learns_from_passes_without_prompts() -> None:
    curve = times(LINEAR)
    controller = Controller(curve)
    controller.settle(StepShape(1, 4), 1, 1, 40.0)
    assert curve.seconds(5) == pytest.approx(20)
    controller.settle(ALONE, 4, 1, 25.0)
    after = curve.seconds(5)
    assert after is not None
    assert after > 20.5


@pytest.mark.parametrize(
    ("shape", "too_little", "enough", "goes_on", "stops"),
    [(ALONE, 0.22, 0.25, 0.2, 0.18), (StepShape(2, 2), 0.38, 0.45, 0.36, 0.3)],
)
def test_choice_begins_and_ends_where_a_draft_token_pays(
    controller: Controller,
    shape: StepShape,
    too_little: float,
    enough: float,
    goes_on: float,
    stops: float,
) -> None:
    counts = [
        controller.choose([[chance]], shape, 16)[0]
        for chance in (too_little, enough, goes_on, stops, goes_on)
    ]
    assert counts == [0, 1, 1, 0, 0]


def test_choice_counts_what_drafting_took_as_a_loss(controller: Controller) -> None:
    assert controller.choose([[0.9]], ALONE, 16, drafting=34.1) == [0]
    assert controller.choose([[0.9]], ALONE, 16, drafting=33.9) == [1]


def test_choice_sees_what_a_step_with_prompts_costs() -> None:
    chances = [[0.7]]
    assert Controller(times(BENT)).choose(chances, ALONE, 16) == [1]
    assert Controller(times(BENT)).choose(chances, StepShape(1, 4), 16) == [0]
