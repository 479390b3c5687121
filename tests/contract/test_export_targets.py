"""The contract of export targets: of what each says of itself, and a bundle with both graphs."""

from __future__ import annotations

import pytest

from nanoaccel.exporters.targets.base import GraphTargetFactory
from nanoaccel.exporters.targets.onnx.target import OnnxTarget
from nanoaccel.exporters.targets.openvino.target import OpenVINOTarget
from nanoaccel.testing.contracts.export_target import (
    TestExportTarget,  # noqa: F401
    check_facts,
    exported,  # noqa: F401
)

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def subject() -> GraphTargetFactory:
    return OnnxTarget  # made of OpenVINO's graph, which is made on the way


def test_openvino_says_what_it_is() -> None:
    assert check_facts(OpenVINOTarget).source is None
