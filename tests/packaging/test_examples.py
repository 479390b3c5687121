"""The examples run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))


@pytest.mark.export
@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name: str, tiny_bundle: Path) -> None:
    # Run as a module of the source tree, which need not be installed for it.
    code = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], {}, '__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "examples" / name), str(tiny_bundle)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
