"""What draft tokens are believed to cost, in seconds, and when a drafter is tried again."""

from __future__ import annotations

import pytest

from nanoaccel.runtime.speculation.draft_cost import NEAR, DraftCost, DraftTokenCost, Probe


def told(cost: DraftTokenCost) -> tuple[float, float]:
    return cost.first, cost.more


def close(first: float, more: float) -> object:
    return pytest.approx((first, more), abs=1e-12)


def test_cost_of_draft_tokens_in_a_row() -> None:
    cost = DraftTokenCost(0.004, 0.001)
    assert [cost.seconds(count) for count in (0, 1, 3)] == pytest.approx([0, 0.004, 0.006])
    assert told(cost.shared(4)) == close(0.001, 0.00025)


@pytest.mark.parametrize(
    ("cost", "count", "seconds", "moved"),
    [
        ((0.004, 0.002), 1, 0.005, (0.0041, 0.002)),
        ((0.004, 0.002), 1, 0.002, (0.003, 0.002)),  # what was quicker is believed sooner
        ((0.004, 0.002), 1, 0.1, (0.0042, 0.002)),  # no surprise counts for more than a half
        ((0.004, 0.002), 3, 0.009, (0.00402, 0.00204)),
        ((0.002, 0.002), 3, 0.009, (0.00206, 0.00206)),  # one more costs no more than the first
        ((0.004, 0.001), 2, 0.0, (0.00275, 0.0)),  # and no less than nothing
    ],
)
def test_cost_moves_towards_what_a_draft_took(
    cost: tuple[float, float], count: int, seconds: float, moved: tuple[float, float]
) -> None:
    assert told(DraftTokenCost(*cost).moved(count, seconds)) == close(*moved)


def test_cost_is_learned_by_the_number_of_requests() -> None:
    cost = DraftCost()
    assert not cost.is_known
    cost.observe(1, 0, 0, 5.0)
    assert not cost.is_known, "nothing was drafted"
    assert told(cost.per_token(1)) == (0.0, 0.0)
    cost.observe(1, 1, 0, 2.0)
    assert cost.is_known
    assert told(cost.per_token(9)) == close(2.0, 0.8)
    cost.observe(4, 2, NEAR, 6.0)
    assert [told(cost.per_token(requests)) for requests in (1, 4, 7, 8)] == [
        close(2.0, 0.8),
        *[close(3.0, 3.0)] * 3,
    ]
    cost.observe(1, 1, NEAR, 3.0)
    assert told(cost.per_token(1)) == close(2.1, 0.8)


def test_cost_of_reading_is_learned_apart() -> None:
    cost = DraftCost()
    assert cost.reading(1000) == 0
    cost.observe(1, 2, 100, 10.0)
    assert cost.is_known
    assert told(cost.per_token(1)) == (0.0, 0.0)
    lags = (NEAR, NEAR + 1, 100, 500)
    # No more is expected of a text than of the longest that was read.
    assert [cost.reading(lag) for lag in lags] == pytest.approx([0, 1.7, 10, 10])
    cost.observe(1, 2, 50, 10.0)
    assert cost.reading(100) == pytest.approx(10.5)
    cost.observe(1, 2, 100, 0.5)
    assert cost.reading(100) == pytest.approx(5.5)


def test_cost_of_reading_leaves_out_the_draft_tokens() -> None:
    cost = DraftCost()
    cost.observe(1, 1, 0, 2.0)
    cost.observe(1, 3, 100, 13.6)
    assert cost.reading(100) == pytest.approx(10)
    quick = DraftCost()
    quick.observe(1, 1, 0, 2.0)
    quick.observe(1, 3, 100, 1.0)
    assert quick.reading(100) == 0


def test_probe_is_due_ever_more_seldom_until_it_pays() -> None:
    probe = Probe()
    due = [step for step in range(1, 510) if probe.due()]
    assert due == [4, 12, 28, 60, 124, 252, 380, 508]
    probe.reset()
    assert [step for step in range(1, 13) if probe.due()] == [4, 12]


def test_probe_of_many_requests_is_due_as_often_as_of_one() -> None:
    probe = Probe()
    assert [step for step in range(1, 25) if probe.due(2)] == [8, 24]
