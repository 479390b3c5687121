"""What tests of packages share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.shared import made_once
from support.wheels import ROOT, build_wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source tree; its operators are slow, and compiled three times as fast."""
    script = tmp_path_factory.mktemp("compiler") / "c++"
    script.write_text('#!/bin/sh\nexec c++ "$@" -O0\n')
    script.chmod(0o755)
    quick = os.name == "posix" and "CXX" not in os.environ and shutil.which("c++") is not None
    environment = {**os.environ, "CXX": str(script)} if quick else os.environ

    def build(out: Path) -> None:
        build_wheel(ROOT, out, environment)

    (built,) = made_once(tmp_path_factory, "dist", build).glob("*.whl")
    return built
