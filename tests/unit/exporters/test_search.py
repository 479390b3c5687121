from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support import trials

from nanoaccel.errors import ExportError
from nanoaccel.exporters.quantize import search as search_module
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quantize.search import candidates, search


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs that are only numbers are not run."""
    monkeypatch.setattr(search_module, "decode_rate", lambda _: 100.0)


def run(tmp_path: Path, wanted: Recipe, seconds: float = 1e9, **more: Any) -> Any:
    budget = trials.budget()
    make, made = trials.maker(budget)
    found = search(make, wanted, budget, tmp_path / "trials", tmp_path / "memory", seconds, **more)
    return found, made


def test_search_takes_the_closest_within_the_usual_size(tmp_path: Path) -> None:
    found, made = run(tmp_path, Recipe())
    assert len(found.tried) == len(made)
    allowed = [tried for tried in found.tried if tried.size <= 5.7 * trials.budget().parameters / 8]
    assert min(allowed, key=lambda tried: tried.fidelity.kl).name == found.recipe.describe()
    assert [tried.size for tried in found.tried] == sorted(tried.size for tried in found.tried)


def test_search_keeps_the_files_of_the_best_alone(tmp_path: Path) -> None:
    found, _ = run(tmp_path, Recipe())
    assert list((tmp_path / "trials").iterdir()) == [found.trial.graph.path.parent]


def test_search_under_a_limit_takes_the_smallest(tmp_path: Path) -> None:
    found, _ = run(tmp_path, Recipe(max_kl=0.2))
    good = [tried for tried in found.tried if tried.fidelity.kl <= 0.2]
    assert found.trial.graph.bytes == min(tried.size for tried in good)


def test_search_tries_nothing_twice_after_it_was_stopped(tmp_path: Path) -> None:
    budget = trials.budget()
    make, made = trials.maker(budget)

    def stopped(recipe: Recipe, folder: Path) -> Any:
        if len(made) == 2:
            raise KeyboardInterrupt
        return make(recipe, folder)

    with pytest.raises(KeyboardInterrupt):
        search(stopped, Recipe(), budget, tmp_path / "a", tmp_path / "memory", 1e9)
    found, again = run(tmp_path, Recipe())
    assert set(again).isdisjoint(made)
    assert len(found.tried) == len(made) + len(again)


def test_search_leaves_out_what_would_not_end_in_time(tmp_path: Path) -> None:
    ticks = count()
    found, made = run(tmp_path, Recipe(), seconds=3.0, clock=lambda: float(next(ticks)))
    assert 1 <= len(made) < len(candidates(Recipe(), trials.budget()))
    assert len(found.left_out) > 0


def test_search_refuses_limits_that_nothing_keeps(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"none of .* recipes keeps the limits"):
        run(tmp_path, Recipe(max_kl=1e-5))


def test_search_ignores_results_that_are_damaged(tmp_path: Path) -> None:
    _, first = run(tmp_path, Recipe())
    for file in (tmp_path / "memory").iterdir():
        file.write_text("{")
    shutil_free = tmp_path / "again"
    shutil_free.mkdir()
    budget = trials.budget()
    make, made = trials.maker(budget)
    search(make, Recipe(), budget, shutil_free, tmp_path / "memory", 1e9)
    assert made == first
