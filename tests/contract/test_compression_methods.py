"""The contract of compression methods, over those that are built in and those of packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nanoaccel.exporters.quantize.methods import CompressionMethodFactory
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.openvino_core import openvino_core
from nanoaccel.registry import COMPRESSION_METHODS
from nanoaccel.testing.contracts.compression_method import (
    TestCompressionMethod,  # noqa: F401
    compressed,
)

pytestmark = pytest.mark.export


@pytest.fixture(scope="module", params=COMPRESSION_METHODS.names())
def subject(request: pytest.FixtureRequest) -> CompressionMethodFactory:
    made: CompressionMethodFactory = COMPRESSION_METHODS.resolve(request.param)
    return made


def test_nncf_makes_no_core_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, made = type(openvino_core()), []
    begin = kind.__init__

    def note(core: Any, *args: Any) -> None:
        made.append(core)
        begin(core, *args)

    monkeypatch.setattr(kind, "__init__", note)
    compressed(Recipe(weights="int4", methods=("gptq",), group_size=32), tmp_path)
    assert made == []
