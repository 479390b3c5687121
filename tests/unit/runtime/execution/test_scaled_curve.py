from __future__ import annotations

import pytest

from nanoaccel.runtime.execution.scaled_curve import ScaledCurve

POINTS = {1: 0.010, 2: 0.012, 4: 0.014, 8: 0.020, 16: 0.030}


def restored() -> ScaledCurve:
    cost = ScaledCurve()
    cost.restore(POINTS)
    return cost


def seconds(cost: ScaledCurve, tokens: int) -> float:
    found = cost.seconds(tokens)
    assert found is not None
    return found


def test_scaled_curve_knows_nothing_at_first() -> None:
    cost = ScaledCurve()
    cost.observe(1, 0.01)
    assert cost.seconds(1) is None


def test_scaled_curve_lies_between_what_was_measured() -> None:
    cost = restored()
    assert [seconds(cost, size) for size in POINTS] == pytest.approx(list(POINTS.values()))
    assert seconds(cost, 3) == pytest.approx(0.013)
    assert seconds(cost, 32) == pytest.approx(0.050)


def test_scaled_curve_of_one_measured_size_is_that() -> None:
    cost = ScaledCurve()
    cost.restore({1: 0.01})
    assert seconds(cost, 8) == pytest.approx(0.01)


def test_scaled_curve_never_falls_with_more_tokens() -> None:
    cost = ScaledCurve()
    cost.restore({1: 0.010, 2: 0.012, 4: 0.011, 8: 0.030})
    assert seconds(cost, 4) == pytest.approx(0.012)


def test_scaled_curve_moves_as_a_whole_when_the_machine_slows_down() -> None:
    cost = restored()
    for _ in range(300):
        cost.observe(1, 0.020)
    assert seconds(cost, 1) == pytest.approx(0.020, rel=0.01)
    assert seconds(cost, 8) == pytest.approx(0.040, rel=0.15)


def test_scaled_curve_learns_where_the_shape_was_wrong() -> None:
    cost = restored()
    for _ in range(300):
        cost.observe(1, 0.010)
        cost.observe(8, 0.030)
    assert seconds(cost, 1) == pytest.approx(0.010, rel=0.1)
    assert seconds(cost, 8) == pytest.approx(0.030, rel=0.1)


def test_scaled_curve_bears_a_pass_that_took_very_long() -> None:
    cost = restored()
    cost.observe(1, 10.0)
    assert seconds(cost, 1) < 0.012
