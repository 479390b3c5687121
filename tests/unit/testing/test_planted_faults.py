"""The contract suites pass what is right, and find each fault."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import planted_faults

TESTS = Path(__file__).parents[2]
KINDS = {
    "drafter": planted_faults.GoodDrafter,
    "eviction_policy": planted_faults.GoodPolicy,
    "logits_processor": planted_faults.GoodProcessor,
}
FAULTS = {fault.__name__: kind for kind, good in KINDS.items() for fault in good.__subclasses__()}


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program, as the author of a plugin runs it."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "nanoaccel.testing.plugin", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def contract(kind: str, name: str) -> tuple[str, str, str]:
    return "--nanoaccel-contract", kind, f"support.planted_faults:{name}"


def test_contracts_pass_what_is_right(tmp_path: Path) -> None:
    good = [word for kind, cls in KINDS.items() for word in contract(kind, cls.__name__)]
    done = run_pytest(tmp_path, "-q", *good, "--nanoaccel-values", '{"penalty": 2}')
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed", done.stdout), done.stdout


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The tests that fail where each fault is planted."""
    words = [word for name, kind in FAULTS.items() for word in contract(kind, name)]
    done = run_pytest(tmp_path_factory.mktemp("faults"), "-q", "--tb=no", *words)
    assert done.returncode == 1, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]


@pytest.mark.parametrize("name", FAULTS)
def test_contract_finds_a_fault(name: str, failures: list[str]) -> None:
    assert [line for line in failures if f"planted_faults:{name}]" in line or f"{name}-" in line]


def test_unknown_kind_is_told(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, *contract("drafters", "GoodDrafter"))
    assert done.returncode == 4
    assert "--nanoaccel-contract drafters: choose one of backend, drafter" in done.stderr


def test_name_that_cannot_be_imported_is_told(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, *contract("drafter", "Absent"))
    assert done.returncode != 0
    assert "has no attribute 'Absent'" in done.stdout + done.stderr
