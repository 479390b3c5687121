from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest


class Words:
    """A tokenizer of 1,000 words without a chat template."""

    has_chat_template = False

    def vocabulary(self) -> dict[str, int]:
        return {str(number): number for number in range(1000)}

    def encode(self, text: str) -> list[int]:
        return [len(word) for word in text.split()]


def questioner(rounds: int = 3, context: int = 2048, quick: bool = False) -> Any:
    return import_module("peer_rows").Questioner(Words(), context, rounds, quick)


def test_questions_of_random_tokens_differ_each_round() -> None:
    rounds = questioner().measurement("decode-8").rounds
    prompts = [tuple(prompt) for questions in rounds for one in questions for prompt in one.prompts]
    assert len(prompts) == len(set(prompts)) == 3 * 8
    assert {len(prompt) for prompt in prompts} == {16}


def test_questions_of_the_project_are_asked_once_each() -> None:
    rounds = questioner(rounds=7).measurement("prompts").rounds
    assert len(rounds) == 7
    assert sum(len(questions) for questions in rounds) == 80
    assert {questions[0].endless for questions in rounds} == {False}


def test_a_row_longer_than_the_context_is_left_out() -> None:
    asker = questioner(context=2048)
    assert asker.measurement("long-4k") is None
    (question,) = asker.measurement("long-2k").rounds[0]
    assert len(question.prompts[0]) + question.generate == 2048


def test_rates_count_tokens_over_their_seconds() -> None:
    rows, answer = import_module("peer_rows"), import_module("workers").Answer
    questions = [rows.Question([[1] * 10, [2] * 10], 5)]
    answers = [answer(first=0.5, total=2.5, tokens=10)]
    assert rows.decode_rate(questions, answers) == pytest.approx(8 / 2)
    assert rows.prefill_rate(questions, answers) == pytest.approx(20 / 0.5)
    assert rows.answer_rate(questions, answers) == pytest.approx(10 / 2.5)


def test_report_shows_ratios_round_by_round() -> None:
    results = import_module("results")
    found = results.Results(
        *({}, {}, {}, {}),
        rows=[
            results.Row("decode 1", "tokens/s", True, {"a": [20, 40, 60], "b": [10, 20, 30]}),
            results.Row("cold start", "seconds", False, {"a": [1.0], "b": [3.0]}),
        ],
    )
    report = results.report(found, "b")
    assert "| a | 40.0 (30.0-50.0) | 2.00 (2.00-2.00) |" in report
    assert "| a | 1.00 (1.00-1.00) | 3.00 (3.00-3.00) |" in report


def test_results_come_back_as_they_were_saved(tmp_path: Path) -> None:
    results = import_module("results")
    machine = results.describe_machine()
    row = results.Row("decode 1", "tokens/s", True, {"a": [1.5, 2.5]})
    found = results.Results(machine, results.versions_here(), {"name": "x"}, {"a": "A"}, [row])
    found.save(tmp_path / "results.json")
    assert results.Results.load(tmp_path / "results.json") == found
    assert machine["allowed"] >= 1


def test_a_worker_that_ends_fails_with_its_command(tmp_path: Path) -> None:
    workers = import_module("workers")
    script = tmp_path / "ends.py"
    script.write_text("")
    with (
        workers.Worker("kind", tmp_path, script=str(script)) as worker,
        pytest.raises(workers.EngineFailed, match=r"ends\.py kind .* ended"),
    ):
        worker.write([[1]], generate=1)


@pytest.mark.export
def test_peers_measures_a_tiny_bundle(
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    peers = import_module("peers")
    (tmp_path / "both").symlink_to(tiny_bundle)
    file = tmp_path / "results.json"
    engines = ["nanoaccel-openvino", "nanoaccel-auto"]
    command = ["peers.py", "--quick", "--rounds", "1", "--rows", "decode-1", "start"]
    command += ["--engines", *engines, "--reference", engines[0]]
    command += ["--work", str(tmp_path), "--json", str(file)]
    monkeypatch.setattr(sys, "argv", command)
    peers.main()
    rows = {row.name: row for row in import_module("results").Results.load(file).rows}
    assert set(rows) == {"decode 1", "cold start", "peak resident memory", "peak anonymous memory"}
    assert all(len(row.figures[name]) == 1 for row in rows.values() for name in engines)
    assert all(figure > 0 for row in rows.values() for figure in row.figures[engines[1]])
    assert "nanoaccel-auto" in capsys.readouterr().out
