"""openai-python's own tests, unchanged, against ``nanoaccel serve``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "openai_suite.py"
NO_TESTS = 3

pytest.importorskip("pytest_asyncio", reason="the suite needs pytest-asyncio (extra: clients)")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(
    "files",
    [
        pytest.param(("--only", "chat", "models"), id="some"),
        pytest.param((), id="all", marks=pytest.mark.nightly),
    ],
)
def test_suite_of_openai_fails_only_where_it_must(files: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *files], capture_output=True, text=True, check=False
    )
    if done.returncode == NO_TESTS:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tests passed" in done.stdout
