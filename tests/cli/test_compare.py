"""``nanoaccel compare``: a summary, a page and JSON."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": "a<b>", "completion": "cdef"}, {"prompt": "xy"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def two(letters: Path, tmp_path: Path) -> tuple[Path, Path]:
    return letters, shutil.copytree(letters, tmp_path / "other")


def test_compare_shows_both_and_writes_a_page(
    two: tuple[Path, Path], prompts: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(prompts.parent)
    ended = run_cli("compare", *two, "--prompts", prompts, "--max-tokens", 4, "--raw")
    assert ended.code == 0, ended.err
    shown = re.findall(r"^(\S.*?)  +(.+)$", ended.out, re.MULTILINE)
    assert ("same answers", "2 (100%)") in shown
    assert ("KL divergence of B from A, mean", "0 ± 0 nats a token") in shown
    assert ("as expected", "A 0, B 0 of 1") in shown
    assert ended.out.endswith("Side by side: comparison.html\n")
    assert "A answers: 100%" in ended.err
    page = Path("comparison.html").read_text(encoding="utf-8")
    assert "a&lt;b&gt;" in page
    assert "a<b>" not in page
    assert page.count('<div class="sides">') == 2
    assert "KL 0 nats" in page
    assert not re.findall(r'(?:src|href)="(?!#)', page)


def test_compare_prints_json_and_writes_no_page_unless_asked(
    two: tuple[Path, Path], prompts: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(prompts.parent)
    asked = ("compare", *two, "--prompts", prompts, "--max-tokens", 4, "--json", "--limit", 1)
    found = json.loads(run_cli(*asked).out)
    assert not Path("comparison.html").exists()
    assert found["prompts"] == found["same_answers"] == len(found["answers"]) == 1
    answer = found["answers"][0]
    assert answer["first_difference"] is None
    assert len(answer["token_kl"]) == len(answer["a"]["token_ids"]) == found["tokens"]
    assert run_cli(*asked, "--html", "mine.html").code == 0
    assert Path("mine.html").exists()


def test_compare_refuses(two: tuple[Path, Path], prompts: Path, run_cli: Any) -> None:
    for more, code, told in (
        (("--prompts", "nowhere.txt"), 1, "cannot read nowhere.txt"),
        (("--prompts", prompts, "--max-tokens", 0), 2, "max_tokens=0 is out of range"),
        (("--prompts", prompts, "--backend-b", "none"), 2, "'none'"),
        (("--prompts", prompts, "--adapter-a", "no/folder"), 2, "no/folder is not a folder"),
        ((), 2, "--prompts"),
    ):
        ended = run_cli("compare", *two, *more)
        assert (ended.code, ended.out) == (code, "")
        assert told in ended.err
