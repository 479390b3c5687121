"""The operators are built where a compiler is; where none is, the reason is kept."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from nanoaccel.runtime.native import find_operators, library

SCRIPT = Path(__file__).resolve().parents[2] / "native" / "build.py"


@pytest.fixture
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("native_build", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_build_and_package_agree_on_the_file(build: ModuleType) -> None:
    assert build.LIBRARY == library.LIBRARY
    assert Path(library.__file__).parent == build.PACKAGE


def test_build_without_a_compiler_keeps_the_reason(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(build.shutil, "which", lambda _: None)
    monkeypatch.delenv("CXX", raising=False)
    assert build.build_or_note(tmp_path) is None
    assert find_operators(tmp_path).reason.startswith("no C++ compiler was found")


@pytest.mark.parametrize("command", ["no-such-compiler", "false"])
def test_build_with_a_broken_compiler_keeps_the_reason(
    build: ModuleType, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build.platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("CXX", command)
    assert build.build_or_note(tmp_path) is None
    assert command in find_operators(tmp_path).reason


def test_build_on_another_machine_keeps_the_reason(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build.platform, "machine", lambda: "riscv64")
    assert build.build_or_note(tmp_path) is None
    assert find_operators(tmp_path).reason == "there are no operators for riscv64 yet"
