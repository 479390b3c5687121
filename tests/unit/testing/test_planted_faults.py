"""The contract suites pass what is right, and find each fault."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import planted_faults
from support.contract_runs import contract, found_faults, run_pytest

KINDS = {
    "drafter": planted_faults.GoodDrafter,
    "eviction_policy": planted_faults.GoodPolicy,
    "logits_processor": planted_faults.GoodProcessor,
    "grammar": planted_faults.GoodGrammar,
    "calibration_source": planted_faults.GoodTexts,
}
FAULTS = {fault: kind for kind, good in KINDS.items() for fault in good.__subclasses__()}
REFERENCE = ("--nanoaccel-reference", "good")


def test_contracts_pass_what_is_right(tmp_path: Path) -> None:
    good = [word for kind, cls in KINDS.items() for word in contract(kind, cls)]
    done = run_pytest(tmp_path, "-q", *good, "--nanoaccel-values", '{"penalty": 2}', *REFERENCE)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed", done.stdout), done.stdout


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> set[type]:
    return found_faults(tmp_path_factory.mktemp("faults"), FAULTS, *REFERENCE)


@pytest.mark.parametrize("fault", FAULTS)
def test_contract_finds_a_fault(fault: type, failures: set[type]) -> None:
    assert fault in failures


def test_unknown_kind_is_told(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, *contract("drafters", planted_faults.GoodDrafter))
    assert done.returncode == 4
    assert "--nanoaccel-contract drafters: choose one of adapter_method, backend" in done.stderr


def test_name_that_cannot_be_imported_is_told(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--nanoaccel-contract", "drafter", "support.planted_faults:Absent")
    assert done.returncode != 0
    assert "has no attribute 'Absent'" in done.stdout + done.stderr
