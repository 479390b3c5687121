from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import results
from benchmarks.harness.machine import describe_machine, versions_here
from benchmarks.harness.worker import Answer, EngineFailed, Worker
from benchmarks.peers import run, workload


class Words:
    """A tokenizer of 1,000 words without a chat template."""

    has_chat_template = False

    def vocabulary(self) -> dict[str, int]:
        return {str(number): number for number in range(1000)}

    def encode(self, text: str) -> list[int]:
        return [len(word) for word in text.split()]


def workload_of(rounds: int = 3, context: int = 2048, quick: bool = False) -> Any:
    return workload.Workload(Words(), context, rounds, quick)


def test_prompts_of_random_tokens_differ_each_round() -> None:
    rounds = workload_of().measurement("decode-8").rounds
    prompts = [tuple(prompt) for batches in rounds for one in batches for prompt in one.prompts]
    assert len(prompts) == len(set(prompts)) == 3 * 8
    assert {len(prompt) for prompt in prompts} == {16}


def test_prompts_of_the_project_are_asked_once_each() -> None:
    rounds = workload_of(rounds=7).measurement("prompts").rounds
    assert len(rounds) == 7
    assert sum(len(batches) for batches in rounds) == 80
    assert {batches[0].ignore_eos for batches in rounds} == {False}


def test_a_row_longer_than_the_context_is_left_out() -> None:
    asker = workload_of(context=2048)
    assert asker.measurement("long-4k") is None
    (batch,) = asker.measurement("long-2k").rounds[0]
    assert len(batch.prompts[0]) + batch.max_tokens == 2048


def test_rates_count_tokens_over_their_seconds() -> None:
    batches = [workload.Batch([[1] * 10, [2] * 10], 5)]
    answers = [Answer(first=0.5, total=2.5, tokens=10)]
    assert workload.decode_rate(batches, answers) == pytest.approx(8 / 2)
    assert workload.prefill_rate(batches, answers) == pytest.approx(20 / 0.5)
    assert workload.answer_rate(batches, answers) == pytest.approx(10 / 2.5)


def test_report_shows_ratios_round_by_round() -> None:
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
    machine = describe_machine()
    row = results.Row("decode 1", "tokens/s", True, {"a": [1.5, 2.5]})
    found = results.Results(machine, versions_here(), {"name": "x"}, {"a": "A"}, [row])
    found.save(tmp_path / "results.json")
    assert results.Results.load(tmp_path / "results.json") == found
    assert machine["allowed"] >= 1


def test_a_worker_that_ends_fails_with_its_command(tmp_path: Path) -> None:
    with (
        Worker("no-such-engine", tmp_path) as worker,
        pytest.raises(EngineFailed, match=r"serve no-such-engine .* ended"),
    ):
        worker.generate([[1]], 1)


@pytest.mark.export
def test_peers_measures_a_tiny_bundle(
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "both").symlink_to(tiny_bundle)
    file = tmp_path / "results.json"
    engines = ["nanoaccel-openvino", "nanoaccel-auto"]
    command = ["run", "--quick", "--rounds", "1", "--rows", "decode-1", "start"]
    command += ["--engines", *engines, "--reference", engines[0]]
    command += ["--work", str(tmp_path), "--json", str(file)]
    monkeypatch.setattr(sys, "argv", command)
    run.main()
    rows = {row.name: row for row in results.Results.load(file).rows}
    assert set(rows) == {"decode 1", "cold start", "peak resident memory", "peak anonymous memory"}
    assert all(len(row.figures[name]) == 1 for row in rows.values() for name in engines)
    assert all(figure > 0 for row in rows.values() for figure in row.figures[engines[1]])
    assert "nanoaccel-auto" in capsys.readouterr().out
