"""Processes that answer files of requests by a slow backend of letters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.fake_llms import write_bundle
from support.replicas import SECONDS, write_plugin

ROOT = Path(__file__).parents[3]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which processes find a slow backend of letters."""
    plugin = write_plugin(tmp_path / "plugin")
    paths = os.pathsep.join(map(str, (plugin, ROOT / "tests", ROOT)))
    return {**os.environ, "PYTHONPATH": paths, SECONDS: "0.005"}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "letters")
