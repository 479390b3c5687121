from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.bundle import Bundle
from nanoaccel.cli.commands.tune import describe_tuning
from nanoaccel.folders import cache_folder
from nanoaccel.runtime.execution.tuned.search import SearchResult, Trial
from nanoaccel.runtime.execution.tuned.setting import Setting
from nanoaccel.runtime.execution.tuned.stored import Tuning, find_tuning
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.tools.autotune import Tuned, find, graph_pool

FASTER = Setting(quantization_group=64)


def tuned(
    setting: Setting, gain: float, *trials: Trial, finished: bool = True, others: float = 0.0
) -> Tuned:
    return Tuned(
        tuning=Tuning(setting=setting, gain=gain, prompt_gain=1.0, machine="a CPU", versions={}),
        file=Path("kept.json"),
        passes=SearchResult(setting, gain, (), trials, finished),
        quiet=SearchResult(setting, 1.0, (), (), True),
        steps=SearchResult(setting, 1.0, (), (), True),
        others=others,
    )


def test_report_shows_what_was_tried_and_gained() -> None:
    trials = (
        Trial(FASTER, (1.2, 1.1, 1.3, 1.25), (1.0, 1.3, 1.4)),
        Trial(Setting(precision="f32"), (), problem="no f32"),
    )
    lines = describe_tuning(tuned(FASTER, 1.2, *trials, finished=False)).splitlines()
    kinds = "1 token 1.00, 8 tokens 1.30, prompts 1.40"
    assert lines == [
        "Passes, times as fast as without",
        "  tried                  median  quartiles       rounds  by kind of pass",
        f"  quantization group 64  1.225   1.200 to 1.250  4       {kinds}",
        "  precision f32          -       -               0       cannot be had: no f32",
        "  The time was not enough for all: give --time-budget more",
        "",
        "From now on: quantization group 64",
        "Passes are 1.20 times as fast, and long prompts 1.00 times by the size of steps",
        "",
        "Kept in kept.json",
    ]


def test_report_says_that_the_machine_was_busy() -> None:
    assert "Other programs used 5000.0 CPUs" in describe_tuning(tuned(FASTER, 1.2, others=5000.0))
    assert "Other programs" not in describe_tuning(tuned(FASTER, 1.2))


def test_report_says_that_the_defaults_stay() -> None:
    assert "The defaults stay" in describe_tuning(tuned(Setting(), 1.0))
    assert "Passes: the time was not" in describe_tuning(tuned(Setting(), 1.0, finished=False))


def test_tune_tunes_a_bundle(
    tiny_bundle: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_pool, "LONG_PROMPT", 64)
    ended = run_cli("tune", tiny_bundle, "--time-budget", 8, "--json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    found = find_tuning(Bundle.open(tiny_bundle), cache_folder())
    assert found is not None
    assert (found.gain, content["gain"]) == (content["gain"], found.gain)
    assert Path(content["file"]).is_file()
    assert any("trying" in line for line in ended.err.splitlines())
    with LLM(tiny_bundle) as llm:
        assert llm.generate([1, 2, 3]).completions
    ended = run_cli("tune", tiny_bundle, "--forget")
    assert (ended.code, ended.out) == (0, "Forgotten: defaults are used again\n")
    assert run_cli("tune", tiny_bundle, "--forget", "--json").out == '{"forgotten": false}\n'


@pytest.mark.parametrize("budget", ["0", "-1", "nan"])
def test_tune_refuses_no_time(budget: str, letters: Path, run_cli: Any) -> None:
    ended = run_cli("tune", letters, "--time-budget", budget)
    assert (ended.code, ended.out) == (2, "")
    assert "time_budget" in ended.err


def test_tune_refuses_what_is_no_bundle(tmp_path: Path, run_cli: Any) -> None:
    ended = run_cli("tune", tmp_path)
    assert ended.code == 1
    assert ended.out == ""


def test_tune_tells_of_a_cache_that_cannot_be_written_before_it_measures(
    letters: Path, run_cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("NANOACCEL_CACHE", str(tmp_path / "cache"))
    ended = run_cli("tune", letters)
    assert (ended.code, ended.out) == (2, "")
    assert "the cache folder cannot be written" in ended.err
    assert "trying" not in ended.err


def test_tune_that_is_interrupted_keeps_nothing(
    letters: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(find, "search", interrupted)
    ended = run_cli("tune", letters)
    assert (ended.code, ended.out) == (130, "")
    assert find_tuning(Bundle.open(letters), cache_folder()) is None
