"""Runs contract suites as the author of a plugin does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

TESTS = Path(__file__).parents[1]


def run_pytest(
    folder: Path, *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The program, as the author of a plugin runs it."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "nanoaccel.testing.plugin", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **({} if variables is None else variables)},
        capture_output=True,
        text=True,
        check=False,
    )


def contract(kind: str, subject: type) -> tuple[str, str, str]:
    """The words that run a suite over a class of the tests."""
    return "--nanoaccel-contract", kind, f"{subject.__module__}:{subject.__name__}"


def found_faults(
    folder: Path,
    faults: Mapping[type, str],
    *arguments: str,
    variables: Mapping[str, str] | None = None,
) -> set[type]:
    """Those of some classes, each with its kind, for which a test of its suite fails."""
    words = [word for fault, kind in faults.items() for word in contract(kind, fault)]
    done = run_pytest(folder, "-q", "--tb=no", *words, *arguments, variables=variables)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return {
        fault
        for fault in faults
        if any(
            f"{fault.__module__}:{fault.__name__}{end}" in line for line in failed for end in "]-"
        )
    }
