"""What tests of packages share."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.shared import made_once
from support.wheels import ROOT, build_wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source tree."""
    folder = made_once(tmp_path_factory, "dist", lambda out: build_wheel(ROOT, out))
    (built,) = folder.glob("*.whl")
    return built
