"""The contract of sources of text, over those that are on this disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanoaccel.calibration.datasets import CalibrationSource
from nanoaccel.registry import CALIBRATION_SOURCES
from nanoaccel.testing.contracts.calibration_source import TestCalibrationSource  # noqa: F401


@pytest.fixture(scope="module", params=["docs", "file"])
def subject(request: pytest.FixtureRequest) -> CalibrationSource:
    made: CalibrationSource = CALIBRATION_SOURCES.resolve(request.param)
    return made


@pytest.fixture(scope="module")
def nanoaccel_reference(
    subject: CalibrationSource, tmp_path_factory: pytest.TempPathFactory
) -> str:
    if subject is CALIBRATION_SOURCES.resolve("docs"):
        return ""
    path: Path = tmp_path_factory.mktemp("texts") / "rows.jsonl"
    path.write_text('{"text": "One."}\n{"text": "Two."}\n')
    return str(path)
