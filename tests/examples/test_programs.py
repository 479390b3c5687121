"""The examples that are run from a shell."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from support.adapters import write_adapter
from support.examples import EXAMPLES, ROOT, run_example

pytestmark = pytest.mark.export


@pytest.mark.parametrize(
    "name", ["generate.py", "batch.py", "streaming/iterator.py", "streaming/callback.py"]
)
def test_example_writes_text(name: str, tiny_bundle: Path) -> None:
    assert run_example(name, tiny_bundle).strip()


def test_tasks_run_together(tiny_bundle: Path) -> None:
    printed = run_example("streaming/tasks.py", tiny_bundle).splitlines()
    order = [line.partition(":")[0] for line in printed if line.startswith("stream ")]
    assert set(order) == {"stream 1", "stream 2", "stream 3"}
    assert order != sorted(order)


def test_prompt_cache_outlives_the_first_start(tiny_bundle: Path) -> None:
    printed = run_example("prompt_cache.py", tiny_bundle)
    cached = [int(count) for count in re.findall(r"start \d: (\d+) of \d+ prompt", printed)]
    assert len(cached) == 4
    assert cached[0] == 0
    assert min(cached[1:]) > 0


def test_adapters_answer_each_in_its_own_way(tiny_onnx_bundle: Path, tmp_path: Path) -> None:
    shapes = {
        "model.layers.0.self_attn.q_proj": (64, 64),
        "model.layers.1.mlp.down_proj": (64, 96),
    }
    folders = [write_adapter(tmp_path / name, shapes=shapes) for name in ("orders", "letters")]
    printed = run_example("adapters.py", tiny_onnx_bundle, *folders)
    answers = dict(line.split(": ", 1) for line in printed.splitlines())
    assert list(answers) == ["the model alone", "orders", "letters", "newer"]
    assert answers["newer"] == answers["orders"] != answers["the model alone"]


def test_batch_job_goes_on_where_it_was(tiny_bundle: Path, tmp_path: Path) -> None:
    texts, out = tmp_path / "texts", tmp_path / "out"
    texts.mkdir()
    for name in ("first", "second"):
        (texts / f"{name}.txt").write_text(f"The {name} tide.")
        run_example("batch_job.py", tiny_bundle, texts, out)
    with (out / "summaries.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["text", "first.txt", "second.txt"]
    assert len((out / "answers.jsonl").read_text().splitlines()) == 2


def test_the_page_names_every_example_and_no_other() -> None:
    page = (ROOT / "docs" / "tutorials" / "examples.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`examples/([\w/.]+\.\w+)`", page))
    kept = ("*.py", "*.ipynb", "*.yml")
    there = {path.relative_to(EXAMPLES).as_posix() for one in kept for path in EXAMPLES.rglob(one)}
    assert named == there
