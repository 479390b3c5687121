from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.bundle import Bundle
from nanoaccel.cli.commands.bench import markdown_table, parse_batches
from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends import BackendInfo
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.tools.benchmark import BenchmarkResult, BenchmarkTest

INFO = BackendInfo("openvino", "a CPU", 10, 32, 1000, "u8", 2, "u8 blocks")


def test_parse_batches_reads_counts() -> None:
    assert parse_batches("1,4, 8") == (1, 4, 8)


@pytest.mark.parametrize("text", ["", "1,", "a", "0", "1,-2", "1.5"])
def test_parse_batches_refuses_what_is_no_count(text: str) -> None:
    with pytest.raises(ConfigError, match="--batch"):
        parse_batches(text)


def test_markdown_table_is_that_of_llama_bench(paper_bundle: Path) -> None:
    results = [
        BenchmarkResult(BenchmarkTest("pp", 512), (100.0, 102.0)),
        BenchmarkResult(BenchmarkTest("tg", 128, 16), (7.0,)),
    ]
    assert markdown_table(Bundle.open(paper_bundle), results, INFO) == (
        "| model      |     size |  params | backend  | threads |       test |           t/s |\n"
        "| ---------- | -------: | ------: | -------- | ------: | ---------: | ------------: |\n"
        "| llama int4 | 4.88 KiB | 10.00 K | openvino |       2 |      pp512 | 101.00 ± 1.41 |\n"
        "| llama int4 | 4.88 KiB | 10.00 K | openvino |       2 | tg128 @ 16 |   7.00 ± 0.00 |"
    )


def test_bench_prints_a_table_and_its_progress(letters: Path, run_cli: Any) -> None:
    ended = run_cli(
        *("bench", letters, "--repetitions", 2, "--prompt", 20, "--generate", 10),
        *("--batch", "1,3"),
    )
    assert ended.code == 0
    rows = [[cell.strip() for cell in line.split("|")] for line in ended.out.splitlines()]
    assert [row[6] for row in rows[2:]] == ["pp20", "tg10", "tg10 @ 3"]
    assert rows[2][1:6] == ["letters", "6 B", "?", "fake", "1"]
    assert ended.err.splitlines()[:3] == ["pp20: warm-up", "pp20: run 1 of 2", "pp20: run 2 of 2"]


def test_bench_json_gives_every_run(letters: Path, run_cli: Any) -> None:
    ended = run_cli(
        *("bench", letters, "--repetitions", 3, "--prompt", 0, "--generate", 10),
        *("--batch", 2, "--json"),
    )
    content = json.loads(ended.out)
    assert (content["parameters"], content["threads"], content["device"]) == (
        None,
        1,
        "no model",
    )
    (test,) = content["tests"]
    assert (test["test"], test["batch"], len(test["tokens_per_second"])) == ("tg10 @ 2", 2, 3)
    assert test["mean"] == pytest.approx(sum(test["tokens_per_second"]) / 3)


def test_bench_finds_no_prompt_in_a_cache(
    letters: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = []
    close = LLM.close

    def note(llm: LLM) -> None:
        hits.append(llm.counters().hit_tokens)
        close(llm)

    monkeypatch.setattr(LLM, "close", note)
    monkeypatch.setattr("random.Random.randrange", lambda *_: 0)
    run_cli("bench", letters, "--prompt", 20, "--generate", 0)
    assert hits == [0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--prompt", "0", "--generate", "0"], "nothing to measure"),
        (["--prompt", "-3"], "tokens=-3"),
        (["--batch", "x"], "--batch 'x'"),
        (["--repetitions", "0"], "repetitions=0"),
        (["--prompt", "500"], "the prompt has 500 tokens"),
        (["--prompt", "0", "--generate", "500"], "do not fit the context of 128"),
    ],
)
def test_bench_refuses(arguments: list[str], told: str, letters: Path, run_cli: Any) -> None:
    ended = run_cli("bench", letters, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err.splitlines()[-1]
