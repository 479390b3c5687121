"""``nanoaccel data``: what is wrong line by line, lengths as a picture, other forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.training_data import letters, write_lines


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "data.jsonl", [*letters(), {"prompt": "a", "completion": ""}])


def test_check_names_lines_and_fails(data: Path, run_cli: Any) -> None:
    ended = run_cli("data", "check", data)
    assert ended.code == 1
    assert ended.out.splitlines() == [
        f"{data}, line 41 has an empty answer (completion)",
        "41 rows: 1 cannot be learned, 0 warnings",
    ]
    found = json.loads(run_cli("data", "check", data, "--json").out)
    assert found["problems"] == [
        {"where": f"{data}, line 41", "what": "has an empty answer (completion)"}
    ]


def test_check_shows_the_first_of_many_and_json_all(tmp_path: Path, run_cli: Any) -> None:
    wrong = write_lines(tmp_path / "wrong.jsonl", [{"question": "a"}] * 60)
    shown = run_cli("data", "check", wrong).out.splitlines()
    assert len(shown) == 52
    assert shown[-2] == "... and 10 more; --json names all"
    assert len(json.loads(run_cli("data", "check", wrong, "--json").out)["problems"]) == 60


@pytest.mark.export
def test_check_knows_what_a_model_reads(data: Path, tiny_model: Path, run_cli: Any) -> None:
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:40]))
    ended = run_cli("data", "check", data, "--model", tiny_model, "--max-length", 30)
    assert ended.code == 0, ended.err
    assert "30 are read" in ended.out
    assert "40 rows: 0 cannot be learned" in ended.out
    ended = run_cli("data", "check", data, "--model", tiny_model, "--max-length", 5)
    assert "its answer begins behind the 5 that are read" in ended.out
    assert "40 rows: 40 cannot be learned" in ended.out


def test_stats_draws_lengths(data: Path, run_cli: Any) -> None:
    ended = run_cli("data", "stats", data)
    assert ended.code == 0, ended.err
    assert "examples                     40\n" in ended.out
    assert "rows that cannot be learned  1\n" in ended.out
    assert "####" in ended.out
    assert json.loads(run_cli("data", "stats", data, "--json").out)["unit"] == "characters"


def test_convert_and_split(data: Path, tmp_path: Path, run_cli: Any) -> None:
    refused = run_cli("data", "convert", data, tmp_path / "chats.jsonl")
    assert (refused.code, refused.out) == (1, "")
    assert "line 41 has an empty answer" in refused.err
    ended = run_cli("data", "convert", data, tmp_path / "chats.jsonl", "--skip-broken")
    left = "1 that cannot be read are left out"
    assert ended.out == f"{tmp_path / 'chats.jsonl'}: 40 rows; {left}\n"
    ended = run_cli("data", "split", tmp_path / "chats.jsonl", tmp_path / "parts", "--share", 0.25)
    assert ended.out.splitlines() == [
        f"{tmp_path / 'parts' / 'train.jsonl'}: 30 rows",
        f"{tmp_path / 'parts' / 'validation.jsonl'}: 10 rows",
    ]
