"""Compiles the operators while hatchling makes a wheel, an editable one included."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("nanoaccel/runtime/native")


class OperatorsHook(BuildHookInterface[Any]):
    """Puts the library, or the reason why there is none, into the package.

    The library does not use Python's C API, so one wheel serves every Python of a platform.
    """

    PLUGIN_NAME = "custom"
    _made: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the files of a wheel are collected."""
        root = Path(self.root)
        if self.target_name != "wheel" or not (root / "native" / "build.py").is_file():
            return
        build = _load(root / "native" / "build.py")
        folder = root / PACKAGE  # an editable install runs from the tree
        if version != "editable":  # others may not even write there
            self._made = tempfile.TemporaryDirectory()
            folder = Path(self._made.name)
        built = build.build_or_note(folder)
        if built.compiler is None:
            self.app.display_warning(f"NanoAccel's operators are not built: {built.reason}")
        if version == "editable":
            return
        build_data["force_include"][str(built.file)] = (PACKAGE / built.file.name).as_posix()
        if built.compiler is not None:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{_platform(build, built.compiler)}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Called when the wheel is written."""
        if self._made is not None:
            self._made.cleanup()


def _platform(build: ModuleType, compiler: Any) -> str:
    """The platform's tag. A Python for two architectures has a library for one of them."""
    if compiler.system == "darwin":
        version = build.MACOS[compiler.architecture].replace(".", "_")
        return f"macosx_{version}_{build.apple_name(compiler.architecture)}"
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("nanoaccel_native_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their module
    spec.loader.exec_module(module)
    return module


def get_build_hook() -> type[BuildHookInterface[Any]]:
    """What hatchling asks for."""
    return OperatorsHook
