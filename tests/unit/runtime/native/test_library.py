"""Which operators are used, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanoaccel.runtime.native import find_operators
from nanoaccel.runtime.native.library import LIBRARY

BUILT = find_operators().library is not None
needs_library = pytest.mark.skipif(not BUILT, reason="the operators are not built")


def test_operators_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANOACCEL_ISA", "none")
    operators = find_operators()
    assert operators.path is None
    assert operators.described() == "stock: NANOACCEL_ISA=none"


def test_operators_that_were_not_built_say_why(tmp_path: Path) -> None:
    assert "not built" in find_operators(tmp_path).reason
    (tmp_path / "not-built.txt").write_text("no C++ compiler was found\n")
    assert find_operators(tmp_path).reason == "no C++ compiler was found"


def test_operators_that_are_damaged_say_so(tmp_path: Path) -> None:
    (tmp_path / LIBRARY).write_bytes(b"not a library")
    operators = find_operators(tmp_path)
    assert operators.path is None
    assert f"{LIBRARY} cannot be loaded" in operators.reason


@needs_library
def test_operators_take_the_path_that_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = find_operators().paths
    assert paths[-1] == "scalar"
    for path in paths:
        monkeypatch.setenv("NANOACCEL_ISA", path)
        assert find_operators().described() == f"nanoaccel, {path}"


@needs_library
def test_operators_refuse_a_path_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANOACCEL_ISA", "neon")
    operators = find_operators()
    assert operators.path is None
    assert operators.reason.startswith("NANOACCEL_ISA=neon does not run on this CPU")
    assert operators.paths
