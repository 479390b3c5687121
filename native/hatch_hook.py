"""Compiles the operators while hatchling makes a wheel, an editable one included."""

from __future__ import annotations

import importlib.util
import sysconfig
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

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Called before the files of a wheel are collected."""
        root = Path(self.root)
        if self.target_name != "wheel" or not (root / "native" / "build.py").is_file():
            return
        build = _load(root / "native" / "build.py")
        library = build.build_or_note(root / PACKAGE)
        if library is None:
            reason = (root / PACKAGE / build.REASON).read_text(encoding="utf-8").strip()
            self.app.display_warning(f"NanoAccel's operators are not built: {reason}")
            build_data["artifacts"].append(f"/{PACKAGE.as_posix()}/{build.REASON}")
            return
        build_data["artifacts"].append(f"/{PACKAGE.as_posix()}/{library.name}")
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("nanoaccel_native_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def get_build_hook() -> type[BuildHookInterface[Any]]:
    """What hatchling asks for."""
    return OperatorsHook
