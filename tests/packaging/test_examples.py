"""The examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))


def run(name: str, bundle: Path) -> str:
    """What an example prints."""
    # Run as a module of the source tree, which need not be installed for it.
    code = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], {}, '__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "examples" / name), str(bundle)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.export
@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name: str, tiny_bundle: Path) -> None:
    assert run(name, tiny_bundle).strip()


@pytest.mark.export
def test_async_streams_run_together(tiny_bundle: Path) -> None:
    printed = run("async_streams.py", tiny_bundle).splitlines()
    order = [line.partition(":")[0] for line in printed if line.startswith("stream ")]
    assert set(order) == {"stream 1", "stream 2", "stream 3"}
    assert order != sorted(order)


@pytest.mark.export
def test_prompt_cache_outlives_the_first_start(tiny_bundle: Path) -> None:
    printed = run("prompt_cache.py", tiny_bundle)
    cached = [int(count) for count in re.findall(r"start \d: (\d+) of \d+ prompt", printed)]
    assert len(cached) == 4
    assert cached[0] == 0
    assert min(cached[1:]) > 0
