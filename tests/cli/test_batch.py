"""``nanoaccel batch`` in this process: what it is given, what it says, how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.batch_files import read_lines, request_of, write_lines

from nanoaccel.cli.ui.counting import counting


def ids(answers: list[dict[str, Any]]) -> list[str]:
    return sorted(str(answer["custom_id"]) for answer in answers)


def test_batch_answers_every_line(letters: Path, tmp_path: Path, run_cli: Any) -> None:
    lines = [request_of(f"r{n}", prompt="a", max_tokens=3) for n in range(20)]
    asked = write_lines(tmp_path / "in.jsonl", lines)
    answers = tmp_path / "out.jsonl"
    ended = run_cli("batch", letters, asked, answers)
    assert (ended.code, ended.out) == (0, "")
    assert "20 answered" in ended.err
    found = read_lines(answers)
    assert ids(found) == ids(lines)
    texts = {one["response"]["body"]["choices"][0]["text"] for one in found}
    assert texts == {"bcd"}
    before = answers.read_bytes()
    again = run_cli("batch", letters, asked, answers)
    assert again.code == 0
    assert "20 of 20 requests are answered already" in again.err
    assert answers.read_bytes() == before


def test_batch_reads_and_writes_pipes(letters: Path, run_cli: Any) -> None:
    lines = b"".join(json.dumps(request_of(f"r{n}")).encode() + b"\n" for n in range(3))
    ended = run_cli("batch", letters, "-", "-", stdin=lines + b"{\n")
    assert ended.code == 3
    assert ids([json.loads(line) for line in ended.out.splitlines()]) == ["None", "r0", "r1", "r2"]
    assert "4 answered" in ended.err
    assert "1 of them with an error" in ended.err


def test_batch_without_requests_has_nothing_to_do(
    letters: Path, tmp_path: Path, run_cli: Any
) -> None:
    ended = run_cli("batch", letters, write_lines(tmp_path / "in", []), tmp_path / "out")
    assert (ended.code, (tmp_path / "out").read_bytes()) == (0, b"")


@pytest.mark.parametrize(
    ("requests", "answers", "message"),
    [
        ("none", "out", "none cannot be read"),
        ("in", "in", "is both read and written"),
        ("in", "notes", "line 1 is no answer"),
        ("twice", "out", "lines 1 and 2 both have custom_id 'a'"),
        ("in", "missing/out", "missing/out cannot be written"),
    ],
)
def test_batch_that_cannot_begin_says_why(
    requests: str, answers: str, message: str, letters: Path, tmp_path: Path, run_cli: Any
) -> None:
    write_lines(tmp_path / "in", [request_of("a")])
    write_lines(tmp_path / "twice", [request_of("a"), request_of("a")])
    (tmp_path / "notes").write_text("mine\n")
    ended = run_cli("batch", letters, tmp_path / requests, tmp_path / answers)
    assert ended.code == 2
    assert message in ended.err
    assert (tmp_path / "notes").read_text() == "mine\n"


def test_batch_without_the_extra_names_it(
    letters: Path, tmp_path: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = sys.modules["nanoaccel.cli.installation.extras"].find_spec  # type: ignore[attr-defined]
    monkeypatch.setattr(
        "nanoaccel.cli.installation.extras.find_spec",
        lambda name: None if name == "ray" else find(name),
    )
    asked = write_lines(tmp_path / "in", [request_of("a")])
    ended = run_cli("batch", letters, asked, tmp_path / "out", "--ray", "auto")
    assert ended.code == 1
    assert (
        '--ray needs ray, which is not installed. Install it: pip install "nanoaccel[ray]"'
        in ended.err
    )


def test_count_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nanoaccel.cli.ui.counting._LINE_SECONDS", 0.0)
    with counting("requests", 10) as show:
        show(3)
        show(4, "1 failed")
    assert capsys.readouterr().err.splitlines() == [
        "3 of 10 requests",
        "4 of 10 requests, 1 failed",
    ]


def test_count_on_a_terminal_is_a_bar_that_goes_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with counting("requests", 10) as show:
        show(4, "1 failed")
    assert "4/10" in capsys.readouterr().err
