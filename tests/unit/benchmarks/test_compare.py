from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.results import Row
from benchmarks.peers import compare


def rates(mean: float, seed: int, rounds: int = 8) -> list[float]:
    """Figures that vary by 2 % around a mean."""
    noise = np.random.default_rng(seed).normal(1.0, 0.02, rounds)
    return [float(mean * factor) for factor in noise]


def write(path: Path, rows: list[tuple[str, bool, dict[str, list[float]]]], /, **more: Any) -> Path:
    content = {
        "schema": 1,
        "machine": {},
        "versions": {},
        "model": {"name": "sample"},
        "engines": {},
        "rows": [
            {"name": name, "unit": "tokens/s" if higher else "MB", "higher": higher, "figures": f}
            for name, higher, f in rows
        ],
    }
    path.write_text(json.dumps(content | more))
    return path


def speeds(ours: float, theirs: float, seed: int, rounds: int = 8) -> dict[str, list[float]]:
    return {
        "nanoaccel-auto": rates(ours, seed, rounds),
        "genai": rates(theirs, seed + 1, rounds),
    }


def test_chance_of_less_is_that_of_all_orders() -> None:
    assert compare.chance_of_less([1, 2, 3], [4, 5, 6]) == pytest.approx(1 / 20)
    assert compare.chance_of_less([4, 5, 6], [1, 2, 3]) == 1.0
    assert compare.chance_of_less([1, 3], [2, 4]) == pytest.approx(2 / 6)
    assert compare.least_chance(3, 3) == pytest.approx(1 / 20)


def test_chance_of_less_counts_ties_for_neither() -> None:
    assert compare.chance_of_less([1, 1, 1], [1, 1, 1]) > 0.5


def test_steady_holds_what_many_comparisons_allow() -> None:
    assert compare.steady([0.04]) == [True]
    assert compare.steady([0.04, 0.5, 0.6]) == [False, False, False]
    assert compare.steady([0.5, 0.001, 0.02]) == [False, True, True]


def test_compare_finds_a_regression_on_a_faster_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write(tmp_path / "old.json", [("decode 1", True, speeds(100, 80, 1))])
    new = write(tmp_path / "new.json", [("decode 1", True, speeds(180, 160, 3))])
    assert compare.main([str(old), str(new)]) == 1
    assert "worse" in capsys.readouterr().out


def test_compare_passes_a_slower_machine(tmp_path: Path) -> None:
    old = write(tmp_path / "old.json", [("decode 1", True, speeds(100, 80, 1))])
    new = write(tmp_path / "new.json", [("decode 1", True, speeds(50, 40, 3))])
    assert compare.main([str(old), str(new)]) == 0


def test_compare_knows_that_less_memory_is_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write(tmp_path / "old.json", [("memory", False, speeds(200, 230, 1))])
    new = write(tmp_path / "new.json", [("memory", False, speeds(150, 230, 3))])
    assert compare.main([str(old), str(new)]) == 0
    assert "better" in capsys.readouterr().out
    assert compare.main([str(new), str(old)]) == 1


def test_compare_says_when_rounds_are_too_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write(tmp_path / "old.json", [("decode 1", True, speeds(100, 80, 1, rounds=2))])
    new = write(tmp_path / "new.json", [("decode 1", True, speeds(60, 80, 3, rounds=2))])
    assert compare.main([str(old), str(new)]) == 0
    assert "too few rounds" in capsys.readouterr().out


def test_compare_rarely_takes_noise_for_a_regression() -> None:
    false = 0
    for seed in range(200):
        old, new = (
            {n: Row(n, "tokens/s", True, speeds(100, 80, s + k)) for k, n in enumerate("abcdef")}
            for s in (1000 * seed, 1000 * seed + 500)
        )
        changes = compare.compare(old, new, "genai", 0.0)
        false += any(change.verdict == "worse" for change in changes)
    assert false <= 20


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"schema": 0}, "schema 1"),
        ({"model": {"name": "other"}}, "not the same model"),
        ({"rows": []}, "no row"),
        ({"rows": [{"name": "decode 1"}]}, "not whole"),
    ],
)
def test_compare_refuses_files_that_do_not_match(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: Any, words: str
) -> None:
    rows = [("decode 1", True, speeds(100, 80, 1))]
    old, new = write(tmp_path / "old.json", rows), write(tmp_path / "new.json", rows, **more)
    assert compare.main([str(old), str(new)]) == 2
    assert words in capsys.readouterr().err


def test_compare_refuses_what_is_no_file_of_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("no")
    assert compare.main([str(tmp_path / "text"), str(tmp_path / "none")]) == 2
    assert "is not JSON" in capsys.readouterr().err
