"""The examples that are run from a shell."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
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
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`examples/([\w/.]+\.\w+)`", page))
    kept = ("*.py", "*.ipynb", "*.yml")
    there = {path.relative_to(EXAMPLES).as_posix() for one in kept for path in EXAMPLES.rglob(one)}
    assert named == there
