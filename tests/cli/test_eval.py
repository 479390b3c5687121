from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from support.paper import add_tokens

from nanoaccel.calibration.metrics import Fidelity, Perplexity
from nanoaccel.cli.commands.eval import rows
from nanoaccel.cli.options.evaluation import TaskOptions
from nanoaccel.errors import ConfigError
from nanoaccel.evaluation import tasks

FOUND = Fidelity(
    text="a text",
    tokens=12345,
    kl=0.0123456,
    kl_error=0.0001,
    kl_median=0.005,
    kl_99=0.2,
    top1_agreement=0.9312,
    top1_error=0.002,
    perplexity=12.5,
    perplexity_error=0.25,
    reference_perplexity=12.0,
    log_ratio=0.04,
    log_ratio_error=0.001,
    probability_change=-0.0012,
    probability_change_error=0.0003,
    probability_change_rms=0.0345,
)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "alphabet.txt"
    path.write_text("abcdefghijklmnopqrstuvwxyz" * 8)
    return path


def test_rows_name_each_figure_with_its_error() -> None:
    assert dict(rows(FOUND)) == {
        "text": "a text",
        "tokens": "12,345",
        "perplexity": "12.50 ± 0.25",
        "perplexity of the reference": "12.00",
        "ln of their ratio": "0.0400 ± 0.0010",
        "KL divergence, mean": "0.012 ± 0.0001 nats a token",
        "KL divergence, median": "0.0050",
        "KL divergence, 99th percentile": "0.200",
        "same likeliest token": "93.1% ± 0.2%",
        "change of the right token's probability, mean": "-0.12% ± 0.03%",
        "... root mean square": "3.45%",
    }


def test_rows_of_perplexity_alone() -> None:
    found = Perplexity(text="a text", tokens=9, perplexity=2.0, perplexity_error=0.5)
    assert rows(found) == [
        ("text", "a text"),
        ("tokens", "9"),
        ("perplexity", "2.00 ± 0.50"),
    ]


def test_task_names_are_read_from_a_list() -> None:
    assert TaskOptions(tasks="arc_easy, piqa").names() == ("arc_easy", "piqa")
    for wrong in ("", "a,", ",b"):
        with pytest.raises(ConfigError, match="--tasks"):
            TaskOptions(tasks=wrong).names()


def test_eval_compares_two_bundles(letters: Path, tmp_path: Path, text: Path, run_cli: Any) -> None:
    other = shutil.copytree(letters, tmp_path / "other")
    ended = run_cli("eval", letters, "--against", other, "--text", text, "--length", 64)
    assert ended.code == 0, ended.err
    shown = {line[:46].strip(): line[46:].strip() for line in ended.out.splitlines()}
    assert shown["text"] == "alphabet.txt"
    assert shown["tokens"] == "208"
    assert shown["KL divergence, mean"] == "0 ± 0 nats a token"
    assert shown["same likeliest token"] == "100.0% ± 0.0%"
    assert ended.err.splitlines()[-1] == "comparing: 100%"


def test_eval_against_nothing_prints_json(letters: Path, text: Path, run_cli: Any) -> None:
    ended = run_cli("eval", letters, "--against", "none", "--text", text, "--json")
    found = json.loads(ended.out)
    assert set(found) == {"text", "tokens", "perplexity", "perplexity_error"}
    assert (found["text"], found["tokens"]) == ("alphabet.txt", 206)
    assert 1 < found["perplexity"] < 2  # it knows the alphabet, but for what follows z


def test_eval_refuses_other_tokens(letters: Path, tmp_path: Path, text: Path, run_cli: Any) -> None:
    other = shutil.copytree(letters, tmp_path / "other")
    add_tokens(other, ["word"])
    ended = run_cli("eval", letters, "--against", other, "--text", text)
    assert (ended.code, ended.out) == (2, "")
    assert f"{other} has another tokenizer than {letters}" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--length", "129"), 2, "length=129 is longer than the model's context, 128"),
        (("--tokens", "0"), 2, "tokens=0 is out of range"),
        (("--precision", "f8"), 2, "precision='f8' is unknown"),
        (("--text", "nowhere.txt"), 1, "nowhere.txt does not exist"),
        ((), 2, "does not say which model it was made from. Name it with --against"),
        (("--tasks", "x", "--limit", "0"), 2, "limit=0 is out of range"),
        (("--tasks", "x,"), 2, "--tasks 'x,' is not a list of names"),
    ],
)
def test_eval_refuses(
    arguments: tuple[str, ...], code: int, told: str, letters: Path, run_cli: Any
) -> None:
    against = ("--against", "none") if arguments else ()
    ended = run_cli("eval", letters, *against, *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err.splitlines()[-1]


def test_eval_refuses_a_text_that_is_too_short(letters: Path, tmp_path: Path, run_cli: Any) -> None:
    (tmp_path / "short.txt").write_text("a")
    ended = run_cli("eval", letters, "--against", "none", "--text", tmp_path / "short.txt")
    assert ended.code == 1
    assert "short.txt has 1 tokens, and a judgement needs 2" in ended.err


def test_eval_refuses_what_is_no_bundle(tmp_path: Path, run_cli: Any) -> None:
    for more in ((), ("--tasks", "piqa")):
        ended = run_cli("eval", tmp_path / "none", *more)
        assert (ended.code, ended.out) == (1, "")
        assert "none is not a folder" in ended.err


def test_eval_tasks_need_the_harness(
    letters: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    ended = run_cli("eval", letters, "--tasks", "piqa")
    assert ended.code == 1
    assert ended.err.splitlines()[-1].endswith('Install it: pip install "nanoaccel[eval]"')


def test_eval_passes_tasks_on(letters: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def run(bundle: Path, names: tuple[str, ...], **options: Any) -> dict[str, Any]:
        seen.update(options, bundle=bundle, names=names)
        return {"results": {"piqa": {"acc,none": 0.5}}, "folder": bundle}

    monkeypatch.setattr(tasks, "run_tasks", run)
    monkeypatch.setattr(tasks, "results_table", lambda found: f"table of {list(found['results'])}")
    arguments = ("eval", letters, "--tasks", "piqa,arc_easy", "--limit", 7, "--num-fewshot", 3)
    ended = run_cli(*arguments, "--chat", "--include-path", "mine", "--precision", "auto")
    assert ended.out == "table of ['piqa']\n"
    del seen["listener"]
    assert seen == {
        "bundle": letters,
        "names": ("piqa", "arc_easy"),
        "limit": 7,
        "num_fewshot": 3,
        "chat": True,
        "include": Path("mine"),
        "precision": "auto",
        "adapter": None,
    }
    assert json.loads(run_cli(*arguments, "--json").out)["results"] == {"piqa": {"acc,none": 0.5}}
