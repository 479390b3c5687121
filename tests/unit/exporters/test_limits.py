from __future__ import annotations

from pathlib import Path

import pytest
from support import trials

from nanoaccel.errors import ExportError
from nanoaccel.exporters.quantize.limits import keeps, smallest_within
from nanoaccel.exporters.quantize.recipe import Recipe


def test_smallest_within_stops_at_the_first_that_is_good_enough(tmp_path: Path) -> None:
    budget = trials.budget()
    make, made = trials.maker(budget)
    found = smallest_within(make, Recipe(max_kl=1.0), budget, tmp_path)
    assert len(made) == 1
    assert found[-1].graph.bytes == budget.range(Recipe())[0]


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("limit", [0.05, 0.1, 0.2])
def test_smallest_within_keeps_the_limit_and_is_near_the_smallest(
    tmp_path: Path, scale: float, limit: float
) -> None:
    budget = trials.budget()
    make, made = trials.maker(budget, scale=scale)
    best = smallest_within(make, Recipe(max_kl=limit), budget, tmp_path)[-1]
    assert best.fidelity.kl <= limit
    assert len(made) <= 6
    low, high = budget.range(Recipe())
    if best.graph.bytes > low:
        smaller = max(low, best.graph.bytes - (high - low) // 4)
        assert scale * budget.within(Recipe(), smaller).loss > limit


def test_smallest_within_leaves_the_files_of_the_best_alone(tmp_path: Path) -> None:
    budget = trials.budget()
    make, _ = trials.maker(budget)
    best = smallest_within(make, Recipe(max_kl=0.1), budget, tmp_path)[-1]
    assert list(tmp_path.iterdir()) == [best.graph.path.parent]


def test_smallest_within_refuses_what_cannot_be_kept(tmp_path: Path) -> None:
    budget = trials.budget()
    make, _ = trials.maker(budget)
    with pytest.raises(ExportError, match="the limits cannot be kept: with all layers in int8"):
        smallest_within(make, Recipe(max_kl=0.001), budget, tmp_path)


def test_keeps_allows_for_the_error_of_measurement() -> None:
    assert keeps(trials.fidelity(0.09), Recipe(max_kl=0.1))
    assert not keeps(trials.fidelity(0.09, error=0.006), Recipe(max_kl=0.1))
    assert not keeps(trials.fidelity(0.01, agreement=0.81, error=0.01), Recipe(min_agreement=0.8))
    assert keeps(trials.fidelity(0.01, agreement=0.81), Recipe(max_kl=0.1, min_agreement=0.8))
