"""The operators are built where a compiler is; where none is, the reason is kept."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from nanoaccel.runtime.native import find_operators, library

SCRIPT = Path(__file__).resolve().parents[2] / "native" / "build.py"
# Answers what it compiles for, and knows no C++17.
OLD = """#!/bin/sh
case "$*" in
    *-dumpmachine*) echo x86_64-linux-gnu ;;
    *) echo "c++: error: unrecognized option '-std=c++17'" >&2; exit 1 ;;
esac
"""
WITHOUT_I8MM = """#!/bin/sh
case "$*" in
    *-dumpmachine*) echo aarch64-linux-gnu ;;
    *i8mm*) exit 1 ;;
esac
"""
ELSEWHERE = "#!/bin/sh\necho {}\n"


@pytest.fixture
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("native_build", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script in the place of a compiler."""
    script = tmp_path / "compiler"
    script.touch(mode=0o755)
    monkeypatch.setenv("CXX", str(script))
    return script


def test_build_and_package_agree_on_the_file(build: ModuleType) -> None:
    assert build.LIBRARY == library.LIBRARY
    assert Path(library.__file__).parent == build.PACKAGE


@pytest.mark.parametrize("named", [None, "", "  "])
def test_build_without_a_compiler_keeps_the_reason(
    build: ModuleType, named: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build.shutil, "which", lambda _: None)
    monkeypatch.delenv("CXX", raising=False)
    if named is not None:
        monkeypatch.setenv("CXX", named)
    assert build.build_or_note(tmp_path).compiler is None
    assert find_operators(tmp_path).reason.startswith("no C++ compiler was found")


@pytest.mark.parametrize("command", ["no-such-compiler", "false", "'without an end", "/"])
def test_build_with_a_broken_compiler_keeps_the_reason(
    build: ModuleType, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", command)
    assert build.build_or_note(tmp_path).compiler is None
    assert command in find_operators(tmp_path).reason


def test_build_with_an_old_compiler_keeps_what_it_said(build: ModuleType, fake: Path) -> None:
    fake.write_text(OLD)
    built = build.build_or_note(fake.parent)
    assert built.compiler is None
    assert "unrecognized option '-std=c++17'" in find_operators(fake.parent).reason


@pytest.mark.parametrize("target", ["riscv64-linux-gnu", "i686-w64-mingw32", ""])
def test_build_for_another_machine_keeps_the_reason(
    build: ModuleType, target: str, fake: Path
) -> None:
    fake.write_text(ELSEWHERE.format(target))
    assert build.build_or_note(fake.parent).compiler is None
    assert find_operators(fake.parent).reason.startswith("there are no operators for")


def test_build_by_cl_names_the_compiler_to_install(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "cl.exe")
    with pytest.raises(build.BuildError, match=r"clang\+\+"):
        build.find_compiler()


def test_build_into_a_place_that_cannot_be_written_gives_a_reason(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "compile_units", lambda *_: [])
    monkeypatch.setattr(build, "_link", lambda command, _: Path(command[-1]).touch())
    (tmp_path / "file").touch()
    built = build.build_or_note(tmp_path / "file")
    assert built.compiler is None
    assert str(tmp_path / "file") in built.reason


@pytest.mark.parametrize(
    ("target", "flags", "architecture", "arch"),
    [
        ("arm64-apple-darwin23.6.0", "", "aarch64", "arm64"),
        ("x86_64-apple-darwin23.6.0", "", "x86_64", "x86_64"),
        ("arm64-apple-darwin23.6.0", "-arch x86_64", "x86_64", "x86_64"),
    ],
)
def test_build_on_a_mac_is_for_the_architecture_of_the_wheel(
    build: ModuleType,
    target: str,
    flags: str,
    architecture: str,
    arch: str,
    fake: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake.write_text(ELSEWHERE.format(target))
    monkeypatch.setenv("ARCHFLAGS", flags)
    compiler = build.find_compiler()
    assert (compiler.architecture, compiler.system) == (architecture, "darwin")
    assert compiler.command[1:3] == ("-arch", arch)


def test_build_on_a_mac_for_two_architectures_is_refused(
    build: ModuleType, fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.write_text(ELSEWHERE.format("arm64-apple-darwin23.6.0"))
    monkeypatch.setenv("ARCHFLAGS", "-arch x86_64 -arch arm64")
    with pytest.raises(build.BuildError, match="two architectures"):
        build.find_compiler()


def test_build_leaves_out_paths_that_the_compiler_does_not_know(
    build: ModuleType, fake: Path
) -> None:
    fake.write_text(WITHOUT_I8MM)
    compiler = build.find_compiler()
    assert list(compiler.paths()) == ["neon_dotprod"]
    assert "-DNANOACCEL_PATH_NEON_DOTPROD" in compiler.flags()
