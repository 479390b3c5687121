"""The programs of examples/, run in this process or in one of their own."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def run_example(name: str, *arguments: object) -> str:
    """What an example prints, run as a user runs it; it must succeed."""
    # As a module of the source tree, which need not be installed for it.
    code = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], {}, '__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, str(EXAMPLES / name), *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def load_example(name: str, **replaced: Any) -> SimpleNamespace:
    """The names of an example, in this process, its ``main`` not run.

    Args:
        name: Its path in examples/.
        replaced: Names of the module that get another value.
    """
    module = runpy.run_path(str(EXAMPLES / name), run_name="example")
    function = module["main"]
    function.__globals__.update(replaced)
    return SimpleNamespace(**function.__globals__)
