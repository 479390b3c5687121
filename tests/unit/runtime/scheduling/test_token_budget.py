from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from nanoaccel.runtime.execution.online_curve import OnlineCurve
from nanoaccel.runtime.scheduling.token_budget import (
    CROWD,
    FIRST_CHUNK,
    MIN_CHUNK,
    SLOWDOWN,
    StepBudget,
)

COUNTS = (1, 2, 3, 5, 8, 13, 21, 64, 100, 128, 300, 512)


def affine(tokens: int) -> float:
    return 0.008 + 0.0006 * tokens


def bent(tokens: int) -> float:
    """Flat up to four tokens, as where the weights' read decides."""
    return 0.009 + 0.0007 * max(0, tokens - 4)


def steep(tokens: int) -> float:
    return 0.006 + 0.0016 * tokens


def learned(curve: Callable[[int], float], passes: int = 400, noise: float = 0.0) -> OnlineCurve:
    random = Random(3)
    cost = OnlineCurve()
    for _ in range(passes):
        tokens = random.choice(COUNTS)
        cost.observe(tokens, curve(tokens) * random.uniform(1 - noise, 1 + noise))
    return cost


def seconds(cost: OnlineCurve, tokens: int) -> float:
    result = cost.seconds(tokens)
    assert result is not None
    return result


def check_monotone(cost: OnlineCurve) -> None:
    curve = [seconds(cost, tokens) for tokens in range(1, 1200)]
    assert curve == sorted(curve)


@pytest.mark.parametrize("curve", [affine, bent, steep])
def test_online_curve_learns_a_curve(curve: Callable[[int], float]) -> None:
    cost = learned(curve)
    for tokens in COUNTS:
        assert seconds(cost, tokens) == pytest.approx(curve(tokens), rel=0.06)


def test_online_curve_learns_through_noise() -> None:
    cost = learned(affine, 2000, noise=0.2)
    for tokens in COUNTS:
        assert seconds(cost, tokens) == pytest.approx(affine(tokens), rel=0.25)


def test_online_curve_knows_nothing_before_the_first_pass() -> None:
    cost = OnlineCurve()
    assert cost.seconds(1) is None
    assert cost.tokens_within(1.0) is None
    cost.observe(4, 0.0)
    assert cost.seconds(1) is None


def test_online_curve_guesses_all_counts_from_one_pass() -> None:
    cost = OnlineCurve()
    cost.observe(16, affine(16))
    assert seconds(cost, 16) == pytest.approx(affine(16))
    assert affine(1) / 2 < seconds(cost, 1) < affine(16)
    assert affine(16) < seconds(cost, 128) < 2 * affine(128)


def test_online_curve_forgets_a_slow_first_pass() -> None:
    cost = OnlineCurve()
    cost.observe(100, 8.0)
    cost.observe(1, affine(1))
    assert seconds(cost, 100) < 2 * affine(100)


@pytest.mark.parametrize("tokens", [1, 6, 40, 128])
def test_online_curve_is_moved_little_by_an_outlier(tokens: int) -> None:
    cost = learned(affine)
    before = seconds(cost, tokens)
    cost.observe(tokens, 20 * affine(tokens))
    assert before < seconds(cost, tokens) < 1.2 * before
    for other in COUNTS:
        assert seconds(cost, other) < 1.25 * affine(other)


def test_online_curve_is_moved_little_by_an_outlier_at_a_new_count() -> None:
    cost = OnlineCurve()
    for _ in range(10):
        cost.observe(1, affine(1))
    before = seconds(cost, 64)
    cost.observe(64, 20 * affine(64))
    assert seconds(cost, 64) < 1.2 * before


@pytest.mark.parametrize("factor", [2.0, 0.5])
@pytest.mark.parametrize("tokens", [1, 11, 128])
def test_online_curve_follows_a_change_within_a_few_passes(factor: float, tokens: int) -> None:
    cost = learned(affine)
    for _ in range(8):
        cost.observe(tokens, factor * affine(tokens))
    assert seconds(cost, tokens) == pytest.approx(factor * affine(tokens), rel=0.15)
    check_monotone(cost)


def test_online_curve_never_falls_with_more_tokens() -> None:
    for seed in range(60):
        random = Random(seed)
        cost = OnlineCurve()
        for _ in range(40):
            cost.observe(random.choice((1, 2, 3, 7, 30, 128, 500)), random.uniform(0.001, 1.0))
            check_monotone_at_knots(cost)
        check_monotone(cost)


def check_monotone_at_knots(cost: OnlineCurve) -> None:
    curve = [seconds(cost, 1 << power) for power in range(15)]
    assert curve == sorted(curve)


def test_online_curve_inverts_itself() -> None:
    cost = learned(bent, noise=0.3)
    for limit in (0.0, 0.005, 0.009, 0.0123, 0.05, 0.3, 2.0, 50.0):
        tokens = cost.tokens_within(limit)
        assert tokens is not None
        if tokens > 0:
            assert seconds(cost, tokens) <= limit * (1 + 1e-9)
        assert seconds(cost, tokens + 1) >= limit * (1 - 1e-9)


def test_online_curve_knows_passes_beyond_its_knots() -> None:
    cost = OnlineCurve()
    for _ in range(40):
        cost.observe(20_000, affine(20_000))
    assert seconds(cost, 40_000) > seconds(cost, 20_000) > seconds(cost, 8192)


def test_step_budget_without_decodes_is_all() -> None:
    for cost in (OnlineCurve(), learned(affine)):
        assert StepBudget(cost, max_tokens=128, target=0.001).tokens(0, 1) == 128


def test_step_budget_is_small_while_nothing_is_known() -> None:
    budget = StepBudget(OnlineCurve(), max_tokens=128, target=None)
    assert budget.tokens(3, 1) == 3 + FIRST_CHUNK
    assert StepBudget(OnlineCurve(), max_tokens=10, target=None).tokens(3, 1) == 10


@pytest.mark.parametrize("curve", [affine, bent])
@pytest.mark.parametrize("decodes", [1, 4])
def test_step_budget_slows_decodes_to_a_known_degree(
    curve: Callable[[int], float], decodes: int
) -> None:
    budget = StepBudget(learned(curve), max_tokens=128, target=None)
    best = max(t for t in range(1, 129) if curve(t) <= SLOWDOWN * curve(decodes))
    assert budget.tokens(decodes, 1) == pytest.approx(best, rel=0.15)


@pytest.mark.parametrize(("decodes", "prompts"), [(1, 3), (2, 5), (1, 100), (4, 100)])
def test_step_budget_lets_few_decodes_wait_for_a_crowd_of_prompts(
    decodes: int, prompts: int
) -> None:
    budget = StepBudget(learned(affine), max_tokens=1000, target=None)
    slowdown = SLOWDOWN * min(prompts, CROWD) / decodes
    best = max(t for t in range(1, 1000) if affine(t) <= slowdown * affine(decodes))
    assert budget.tokens(decodes, prompts) == pytest.approx(best, rel=0.15)


def test_step_budget_slows_many_decodes_no_further_for_prompts_that_came_later() -> None:
    budget = StepBudget(learned(affine), max_tokens=1000, target=None)
    assert budget.tokens(CROWD, 100) == budget.tokens(CROWD, 1)


def test_step_budget_is_all_while_prompts_wait_that_came_together_with_the_decodes() -> None:
    for cost in (OnlineCurve(), learned(affine)):
        budget = StepBudget(cost, max_tokens=1000, target=None)
        assert budget.tokens(CROWD, 1, together=True) == 1000


def test_step_budget_keeps_to_a_target() -> None:
    cost = learned(affine)
    for target in (0.02, 0.03, 0.05):
        tokens = StepBudget(cost, max_tokens=1000, target=target).tokens(2, 1)
        assert affine(tokens) == pytest.approx(target, rel=0.1)
        assert (
            StepBudget(cost, max_tokens=1000, target=target).tokens(2, 100, together=True) == tokens
        )


def test_step_budget_lets_prompts_go_on_when_the_target_cannot_be_met() -> None:
    budget = StepBudget(learned(affine), max_tokens=128, target=0.001)
    assert budget.tokens(6, 1) == 6 + MIN_CHUNK


def test_step_budget_is_never_more_than_the_most_tokens() -> None:
    budget = StepBudget(learned(affine), max_tokens=32, target=10.0)
    assert [budget.tokens(decodes, 1) for decodes in (0, 1, 30, 40)] == [32] * 4


def test_step_budget_finds_its_size_by_what_it_allows() -> None:
    cost = OnlineCurve()
    budget = StepBudget(cost, max_tokens=128, target=None)
    cost.observe(128, 8.0)
    cost.observe(100, affine(100))
    for _ in range(25):
        cost.observe(1, affine(1))
        tokens = budget.tokens(1, 1)
        cost.observe(tokens, affine(tokens))
    best = max(t for t in range(1, 129) if affine(t) <= SLOWDOWN * affine(1))
    assert budget.tokens(1, 1) == pytest.approx(best, abs=1)
